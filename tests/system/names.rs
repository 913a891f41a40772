//! Which texts are names.

use anyhow::Result;
use proptest::{prop_assert, prop_assert_eq, proptest};
use shared::slot::{NameError, SlotName};
use system_tests::{assert_level, with_pair};
use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::strategies::near_name;

fn is_separator(one: char) -> bool {
    ['\u{2028}', '\u{2029}'].contains(&one)
}

fn is_bidirectional(one: char) -> bool {
    matches!(u32::from(one), 0x202a..=0x202e | 0x2066..=0x2069)
}

/// Some of the characters that show nothing: those of [`near_name`], and those that people meet.
fn is_default_ignorable(one: char) -> bool {
    matches!(
        u32::from(one),
        0xad | 0x34f | 0x61c
            | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f
            | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f
            | 0x3164 | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff0..=0xfffb
            | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff
    )
}

proptest! {
    #[test]
    fn a_name_obeys_its_rules_and_is_its_own_name(text in near_name()) {
        let Ok(name) = SlotName::parse(&text) else { return Ok(()) };

        let name = name.as_str();

        prop_assert!((1..=200).contains(&name.chars().count()), "1 to 200 scalar values");
        prop_assert!(is_nfc(name), "normalised");
        prop_assert_eq!(name.trim(), name, "trimmed");
        prop_assert!(!name.chars().any(|one| matches!(u32::from(one), 0..=0x1f | 0x7f..=0x9f)), "no controls");
        prop_assert!(!name.chars().any(is_separator) && !name.chars().any(is_bidirectional), "in one line");
        prop_assert!(name.chars().any(|one| !is_default_ignorable(one)), "something shows");
        prop_assert_eq!(SlotName::parse(name).map(|again| again.to_string()), Ok(name.to_owned()), "stable");
    }

    #[test]
    fn nothing_else_is_refused(text in near_name()) {
        let Err(error) = SlotName::parse(&text) else { return Ok(()) };

        let normal: Vec<char> = text.trim().nfc().collect();

        match error {
            NameError::Empty => prop_assert!(normal.is_empty(), "{text:?} is not empty"),
            NameError::TooLong => prop_assert!(normal.len() > 200, "{} are not too many", normal.len()),
            NameError::ControlCharacter => {
                let control = |one: &char| matches!(u32::from(*one), 0..=0x1f | 0x7f..=0x9f);
                prop_assert!(normal.iter().any(control), "{text:?} holds no control character");
            }
            NameError::LineSeparator => prop_assert!(normal.iter().copied().any(is_separator)),
            NameError::BidirectionalControl => prop_assert!(normal.iter().copied().any(is_bidirectional)),
            NameError::Invisible => {
                let hidden = |one: &char| is_default_ignorable(*one) || one.is_whitespace();
                prop_assert!(normal.iter().all(hidden), "{text:?} shows something");
            }
        }
    }

    #[test]
    fn spellings_that_normalise_alike_are_the_same_name(text in near_name()) {
        let (composed, decomposed): (String, String) = (text.nfc().collect(), text.nfd().collect());

        let name = SlotName::parse(&text);

        prop_assert_eq!(&SlotName::parse(&composed), &name, "composed");
        prop_assert_eq!(&SlotName::parse(&decomposed), &name, "decomposed");
    }
}

#[test]
fn the_length_is_that_of_the_composed_form() {
    let cases: [(String, bool, &str); 9] = [
        ("a".repeat(200), true, "200 scalar values"),
        ("a".repeat(201), false, "one more"),
        ("\u{1f600}".repeat(200), true, "800 bytes are 200 scalar values"),
        ("\u{e9}".repeat(200), true, "composed"),
        ("e\u{301}".repeat(200), true, "400 scalar values that compose to 200"),
        ("e\u{301}".repeat(201), false, "402 that compose to 201"),
        ("\u{958}".repeat(100), true, "100 that NFC takes apart into 200"),
        ("\u{958}".repeat(101), false, "101 that NFC takes apart into 202"),
        (format!("  {}\n", "a".repeat(200)), true, "blanks around do not count"),
    ];

    for (text, fits, reason) in cases {
        assert_eq!(SlotName::parse(&text).is_ok(), fits, "{reason}");
    }
}

#[test]
fn names_at_the_bounds_survive_the_whole_way() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let names = [
            "\u{1f600}".repeat(200),
            "\u{958}".repeat(100),
            "e\u{301}".repeat(200),
            "\"\\/'; DROP TABLE parking_slots; --".to_owned(),
            "\u{200f}right to left \u{5d0}".to_owned(),
            "  padded\u{3000}".to_owned(),
            "%_\\".to_owned(),
        ];

        let mut created = Vec::new();
        for name in &names {
            created.push(client.created(name).await?);
        }

        assert_level(pair).await?;
        let listed: Vec<String> = client.list_all().await?.into_iter().map(|slot| slot.name).collect();
        let expected: Vec<String> = names.iter().map(|name| name.trim().nfc().collect()).collect();
        assert_eq!(listed, expected);
        assert!(created.iter().map(|slot| &slot.name).eq(&expected), "the answers show the names as stored");
        Ok(())
    })
}
