//! Signs messages, and tells signed ones from others. With a key, a publisher that does not know it changes nothing.
//! Without a key, every publisher is trusted.
//!
//! The signature is HMAC-SHA256 (RFC 2104) over the routing key, as AMQP writes a short string (its length in one byte,
//! then its bytes), and the body. It travels as the header `x-signature`, in 64 hexadecimal digits. The routing key is
//! part of it, so that a message of one queue does not pass in another. The other properties are not part of it: a
//! publisher can copy a signed message and change them.

mod dropped;
#[cfg(test)]
mod signature_tests;

use std::{fmt, str::FromStr};

use hmac::{Hmac, KeyInit, Mac};
use lapin::{
    BasicProperties,
    message::Delivery,
    types::{AMQPValue, FieldTable},
};
use sha2::Sha256;

pub use self::dropped::DroppedMessages;

/// The header with the signature.
pub const SIGNATURE_HEADER: &str = "x-signature";

/// What operators read while no key is set.
pub const UNSIGNED_MESSAGES: &str =
    "messages are not signed: every publisher on the broker is trusted (set PARKING__BROKER__SIGNING_KEY)";

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

/// What a receiver may believe of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trusted {
    /// All of it: no key is set.
    Whole,
    /// Its routing key and its body, which are signed.
    Body,
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
    pub fn check(&self, delivery: &Delivery) -> Result<Trusted, Unsigned> {
        let headers = delivery.properties.headers().as_ref();
        self.check_signature(headers, delivery.routing_key.as_str(), &delivery.data)
    }

    fn check_signature(
        &self,
        headers: Option<&FieldTable>,
        routing_key: &str,
        body: &[u8],
    ) -> Result<Trusted, Unsigned> {
        let Some(own) = &self.own else { return Ok(Trusted::Whole) };
        let signature = headers
            .and_then(|headers| headers.inner().get(SIGNATURE_HEADER))
            .and_then(AMQPValue::as_long_string)
            .and_then(|digits| bytes_of(digits.as_bytes()))
            .ok_or(Unsigned::Absent)?;
        let is_by = |key: &SigningKey| key.fed(routing_key, body).verify_slice(&signature).is_ok();
        match is_by(own) || self.other.as_ref().is_some_and(is_by) {
            true => Ok(Trusted::Body),
            false => Err(Unsigned::Wrong),
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
