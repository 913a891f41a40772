//! A slot as one JSON document: what the API answers with, and what the replica keeps with each row. Both services
//! encode it here, so its bytes are the same wherever it was made.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer, de::Error};
use uuid::Uuid;

use crate::{
    slot::{Slot, SlotName, SlotStatus, Version},
    time::{self, AsText},
};

/// Joins documents in a list.
pub const DOCUMENT_SEPARATOR: u8 = b',';

/// The separator with the end of one document and the beginning of the next. No string in a document contains it,
/// because JSON escapes each quotation mark.
const BOUNDARY: &[u8] = br#"},{"uuid":""#;

/// The members of the document, in order.
#[derive(Serialize)]
struct DocumentMembers<'s> {
    uuid: Uuid,
    name: &'s str,
    status: &'static str,
    version: i64,
    created_at: AsText,
    updated_at: AsText,
}

/// Serializes the document of a slot with the commit times of its create and of this version.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(
    slot: &Slot,
    created_at: Timestamp,
    updated_at: Timestamp,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let members = DocumentMembers {
        uuid: slot.uuid,
        name: slot.name.as_str(),
        status: slot.status.as_str(),
        version: slot.version.get(),
        created_at: AsText(created_at),
        updated_at: AsText(updated_at),
    };
    members.serialize(serializer)
}

/// The document of a slot with the commit times of its create and of this version.
#[must_use]
pub fn encode(slot: &Slot, created_at: Timestamp, updated_at: Timestamp) -> String {
    // The members without the name take 178 bytes; a larger version or a longer name grows the buffer.
    let mut document = Vec::with_capacity(192 + slot.name.as_str().len());
    serialize(slot, created_at, updated_at, &mut serde_json::Serializer::new(&mut document))
        .expect("a slot is JSON");
    String::from_utf8(document).expect("JSON is UTF-8")
}

#[derive(Deserialize)]
struct ReadMembers<'d> {
    uuid: Uuid,
    #[serde(borrow)]
    name: Cow<'d, str>,
    #[serde(borrow)]
    status: Cow<'d, str>,
    version: i64,
    #[serde(with = "time")]
    created_at: Timestamp,
    #[serde(with = "time")]
    updated_at: Timestamp,
}

/// Reverses [`encode`]: the slot, the commit time of its create, and that of this version. Does not check the name, so
/// that a manual edit shows as it is stored.
///
/// # Errors
/// It is not the document of a slot.
pub fn decode(document: &[u8]) -> Result<(Slot, Timestamp, Timestamp), serde_json::Error> {
    let ReadMembers { uuid, name, status, version, created_at, updated_at } =
        serde_json::from_slice(document)?;
    let status = SlotStatus::parse(&status).ok_or_else(|| Error::custom("not a status"))?;
    let version = Version::new(version).ok_or_else(|| Error::custom("not a version"))?;
    let slot = Slot { uuid, name: SlotName::as_stored(name.into_owned()), status, version };
    Ok((slot, created_at, updated_at))
}

/// Where the last of several joined documents begins.
#[must_use]
pub fn last_begins_at(documents: &[u8]) -> usize {
    let boundary = documents.windows(BOUNDARY.len()).rposition(|bytes| bytes == BOUNDARY);
    // The boundary begins with the last byte of the document before, and the separator follows.
    boundary.map_or(0, |place| place + 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slot() -> impl Strategy<Value = (Slot, Timestamp, Timestamp)> {
        let micros = || -62_135_596_800_000_000_i64..253_402_207_200_000_000;
        let status = prop::sample::select(SlotStatus::ALL.to_vec());
        // Any text: an edit by hand may have left it.
        let name = any::<String>();
        (any::<u128>(), name, status, 1..=i64::MAX, micros(), micros()).prop_map(
            |(uuid, name, status, version, created, updated)| {
                let slot = Slot {
                    uuid: Uuid::from_u128(uuid),
                    name: SlotName::as_stored(name),
                    status,
                    version: Version::new(version).expect("above 0"),
                };
                let time = |micros| Timestamp::from_microsecond(micros).expect("a time");
                (slot, time(created), time(updated))
            },
        )
    }

    proptest! {
        #[test]
        fn a_document_reads_back_as_the_slot((slot, created_at, updated_at) in slot()) {
            let document = encode(&slot, created_at, updated_at);

            let read = decode(document.as_bytes()).expect("a document");

            prop_assert_eq!(read, (slot, created_at, updated_at));
        }

        #[test]
        fn the_last_of_joined_documents_is_found(slots in prop::collection::vec(slot(), 1..5)) {
            let documents: Vec<String> =
                slots.iter().map(|(slot, created, updated)| encode(slot, *created, *updated)).collect();
            let joined = documents.join(",");

            let last = &joined[last_begins_at(joined.as_bytes())..];

            prop_assert_eq!(last, documents.last().expect("at least one"));
        }
    }

    #[test]
    fn a_name_that_looks_like_the_next_document_is_no_boundary() {
        let name = SlotName::as_stored(r#"A"},{"uuid":"B},{"#.to_owned());
        let slot = Slot { uuid: Uuid::nil(), name, status: SlotStatus::Available, version: Version::FIRST };
        let document = encode(&slot, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);

        assert_eq!(last_begins_at(document.as_bytes()), 0);
    }

    #[test]
    fn the_document_is_what_the_api_promises() {
        let slot = Slot {
            uuid: Uuid::from_u128(1),
            name: SlotName::as_stored("A \"1\" \\ \u{1}é".to_owned()),
            status: SlotStatus::Blocked,
            version: Version::FIRST,
        };

        assert_eq!(
            encode(&slot, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH),
            "{\"uuid\":\"00000000-0000-0000-0000-000000000001\",\"name\":\"A \\\"1\\\" \\\\ \\u0001é\",\
             \"status\":\"blocked\",\"version\":1,\"created_at\":\"1970-01-01T00:00:00.000000Z\",\
             \"updated_at\":\"1970-01-01T00:00:00.000000Z\"}"
        );
    }
}
