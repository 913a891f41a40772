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
) -> Result<Trusted, Unsigned> {
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
    for text in ["", "short", long.as_str(), "with a space in it, which is not visible", "ééééééééééééééééé"]
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
        assert_eq!(check(&pair[1], &signed(&pair[0]), "k", b"body"), Ok(Trusted::Body));
        assert_eq!(check(&pair[0], &signed(&pair[1]), "k", b"body"), Ok(Trusted::Body));
    }
    assert_eq!(check(&steps[3], &signed(&steps[0]), "k", b"body"), Err(Unsigned::Wrong));
}

#[test]
fn without_a_key_nothing_is_signed_and_everything_is_trusted() {
    let none = SigningKeys::default();
    let properties = none.sign(BasicProperties::default(), "k", b"body");

    assert_eq!(properties, BasicProperties::default());
    assert_eq!(check(&none, &properties, "k", b"body"), Ok(Trusted::Whole));
    assert_eq!(check(&keys('a', None), &properties, "k", b"body"), Err(Unsigned::Absent));
}

proptest! {
    #[test]
    fn another_routing_key_or_body_does_not_pass(
        key in "[a-z.]{0,20}", body in any::<Vec<u8>>(), other_key in "[a-z.]{0,20}", other in any::<Vec<u8>>(),
    ) {
        let keys = keys('a', None);
        let signed = keys.sign(BasicProperties::default(), &key, &body);

        prop_assert_eq!(check(&keys, &signed, &key, &body), Ok(Trusted::Body));
        let is_same = key == other_key && body == other;
        prop_assert_eq!(check(&keys, &signed, &other_key, &other).is_ok(), is_same);
    }
}
