//! Signs messages, and tells signed ones from others. With a key, a user of the broker who does not know it changes
//! nothing. Without a key, everybody who may publish is trusted.
//!
//! The signature is HMAC-SHA256 (RFC 2104) over the routing key, as AMQP writes a short string (its length in one byte,
//! then its bytes), and the body. It travels as the header `x-signature`, in 64 hexadecimal digits. The routing key is
//! part of it, so that a message of one queue does not pass in another.

use std::{
    fmt,
    str::FromStr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit, Mac};
use lapin::{
    BasicProperties,
    message::Delivery,
    types::{AMQPValue, FieldTable},
};
use sha2::Sha256;

/// The header with the signature.
pub const SIGNATURE_HEADER: &str = "x-signature";

/// What operators read while no key is set.
pub const UNSIGNED_MESSAGES: &str = "messages are not signed: everybody who may publish on the broker is trusted (PARKING__BROKER__SIGNING_KEY)";

/// The length of a key, in bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 32..=512;

/// A secret that both services have; never shown.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey([hidden])")
    }
}

/// A text that is no key. Does not hold the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 32 to 512 bytes of visible ASCII: make one with `openssl rand -hex 32`")]
pub struct SigningKeyError;

impl FromStr for SigningKey {
    type Err = SigningKeyError;

    fn from_str(text: &str) -> Result<Self, SigningKeyError> {
        let fits = KEY_BYTES.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        let key = fits.then(|| Hmac::new_from_slice(text.as_bytes()).ok()).flatten();
        key.map(Self).ok_or(SigningKeyError)
    }
}

impl SigningKey {
    /// The key, fed with what is signed. An AMQP routing key has at most 255 bytes.
    fn fed(&self, routing_key: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(&[u8::try_from(routing_key.len()).unwrap_or(u8::MAX)]);
        mac.update(routing_key.as_bytes());
        mac.update(body);
        mac
    }
}

/// Why a message does not count as signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    /// It has no signature, or one of another form.
    #[error("not signed")]
    Absent,
    /// The signature is that of another key, routing key or body.
    #[error("wrongly signed: another key, another place or another body")]
    Wrong,
}

/// The keys of a service. Without any, it signs nothing and trusts every message.
#[derive(Clone, Debug, Default)]
pub struct SigningKeys {
    own: Option<SigningKey>,
    other: Option<SigningKey>,
}

/// A second key is set without a first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must not be set without a key to sign with")]
pub struct NoOwnKey;

impl SigningKeys {
    /// Signs with `own`, and also accepts what is signed with `other`, so that keys can be changed one service at a
    /// time.
    ///
    /// # Errors
    /// Only `other` is given.
    pub fn new(own: Option<SigningKey>, other: Option<SigningKey>) -> Result<Self, NoOwnKey> {
        if own.is_none() && other.is_some() {
            return Err(NoOwnKey);
        }
        Ok(Self { own, other })
    }

    /// Whether only signed messages are trusted.
    #[must_use]
    pub fn are_set(&self) -> bool {
        self.own.is_some()
    }

    /// Adds the signature to the properties of a message with this routing key and body. In the default exchange the
    /// routing key is the queue's name.
    #[must_use]
    pub fn sign(&self, properties: BasicProperties, routing_key: &str, body: &[u8]) -> BasicProperties {
        let Some(own) = &self.own else { return properties };
        let signature = own.fed(routing_key, body).finalize().into_bytes();
        let digits: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut headers = properties.headers().clone().unwrap_or_default();
        headers.insert(SIGNATURE_HEADER.into(), AMQPValue::LongString(digits.into()));
        properties.with_headers(headers)
    }

    /// Accepts a message that is signed with one of the keys. Accepts every message if there is no key. Compares in
    /// constant time.
    ///
    /// # Errors
    /// [`Unsigned`].
    pub fn check(&self, delivery: &Delivery) -> Result<(), Unsigned> {
        let headers = delivery.properties.headers().as_ref();
        self.check_signature(headers, delivery.routing_key.as_str(), &delivery.data)
    }

    fn check_signature(
        &self,
        headers: Option<&FieldTable>,
        routing_key: &str,
        body: &[u8],
    ) -> Result<(), Unsigned> {
        let Some(own) = &self.own else { return Ok(()) };
        let signature = headers
            .and_then(|headers| headers.inner().get(SIGNATURE_HEADER))
            .and_then(AMQPValue::as_long_string)
            .and_then(|digits| bytes_of(digits.as_bytes()))
            .ok_or(Unsigned::Absent)?;
        let is_by = |key: &SigningKey| key.fed(routing_key, body).verify_slice(&signature).is_ok();
        match is_by(own) || self.other.as_ref().is_some_and(is_by) {
            true => Ok(()),
            false => Err(Unsigned::Wrong),
        }
    }
}

/// How often the log says how many messages were dropped.
const DROPPED_LOG_INTERVAL: Duration = Duration::from_secs(30);

/// Counts the messages of one kind that are dropped because they are not signed. Says so in the log, at once and then
/// at most every 30 s.
#[derive(Debug)]
pub struct DroppedMessages {
    kind: &'static str,
    dropped: Mutex<Dropped>,
}

#[derive(Debug, Default)]
struct Dropped {
    count: u64,
    logged_at: Option<Instant>,
}

impl DroppedMessages {
    /// Counts messages of this kind.
    #[must_use]
    pub fn new(kind: &'static str) -> Self {
        Self { kind, dropped: Mutex::default() }
    }

    /// Counts one more.
    pub fn note(&self, unsigned: Unsigned) {
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        dropped.count += 1;
        if dropped.logged_at.is_none_or(|logged_at| logged_at.elapsed() >= DROPPED_LOG_INTERVAL) {
            dropped.logged_at = Some(Instant::now());
            tracing::warn!(kind = self.kind, dropped = dropped.count, reason = %unsigned, "message dropped");
        }
    }
}

/// The 32 bytes that 64 hexadecimal digits stand for.
fn bytes_of(digits: &[u8]) -> Option<[u8; 32]> {
    let digits: &[u8; 64] = digits.try_into().ok()?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(letter: char) -> SigningKey {
        String::from_iter([letter; 32]).parse().expect("a key")
    }

    fn keys(own: char, other: Option<char>) -> SigningKeys {
        SigningKeys::new(Some(key(own)), other.map(key)).expect("keys")
    }

    /// What keys say of a message that others have signed for `routing_key` and `body`.
    fn check(
        keys: &SigningKeys,
        signed: &BasicProperties,
        routing_key: &str,
        body: &[u8],
    ) -> Result<(), Unsigned> {
        keys.check_signature(signed.headers().as_ref(), routing_key, body)
    }

    #[test]
    fn the_signature_is_the_hmac_that_other_programs_compute() {
        // printf '\x0eparking.create[]' | openssl dgst -sha256 -hmac aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        let signed = keys('a', None).sign(BasicProperties::default(), "parking.create", b"[]");
        let headers = signed.headers().clone().unwrap_or_default();
        let signature = headers.inner().get(SIGNATURE_HEADER).and_then(AMQPValue::as_long_string);

        assert_eq!(
            signature.map(|digits| String::from_utf8_lossy(digits.as_bytes()).into_owned()).as_deref(),
            Some("e1188a1b266db9b3492fee15eac0fa23f77c47e7493bf067c1fce193a9ceabbc")
        );
    }

    #[test]
    fn texts_that_are_too_short_too_long_or_not_visible_are_no_keys() {
        let long = "x".repeat(513);
        for text in
            ["", "short", long.as_str(), "with a space in it, which is not visible", "ééééééééééééééééé"]
        {
            assert_eq!(text.parse::<SigningKey>().err(), Some(SigningKeyError), "{text}");
        }
        assert_eq!(SigningKeys::new(None, Some(key('a'))).err(), Some(NoOwnKey));
        assert_eq!(format!("{:?}", key('a')), "SigningKey([hidden])");
    }

    #[test]
    fn keys_are_changed_by_accepting_the_new_one_before_signing_with_it() {
        let signed = |by: &SigningKeys| by.sign(BasicProperties::default(), "k", b"body");
        let steps = [keys('a', None), keys('a', Some('b')), keys('b', Some('a')), keys('b', None)];

        for pair in steps.windows(2) {
            assert_eq!(check(&pair[1], &signed(&pair[0]), "k", b"body"), Ok(()));
            assert_eq!(check(&pair[0], &signed(&pair[1]), "k", b"body"), Ok(()));
        }
        assert_eq!(check(&steps[3], &signed(&steps[0]), "k", b"body"), Err(Unsigned::Wrong));
    }

    #[test]
    fn without_a_key_nothing_is_signed_and_everything_is_trusted() {
        let none = SigningKeys::default();
        let properties = none.sign(BasicProperties::default(), "k", b"body");

        assert_eq!(properties, BasicProperties::default());
        assert_eq!(check(&none, &properties, "k", b"body"), Ok(()));
        assert_eq!(check(&keys('a', None), &properties, "k", b"body"), Err(Unsigned::Absent));
    }

    proptest! {
        #[test]
        fn another_routing_key_or_body_does_not_pass(
            key in "[a-z.]{0,20}", body in any::<Vec<u8>>(), other_key in "[a-z.]{0,20}", other in any::<Vec<u8>>(),
        ) {
            let keys = keys('a', None);
            let signed = keys.sign(BasicProperties::default(), &key, &body);

            prop_assert_eq!(check(&keys, &signed, &key, &body), Ok(()));
            let is_same = key == other_key && body == other;
            prop_assert_eq!(check(&keys, &signed, &other_key, &other).is_ok(), is_same);
        }
    }
}
