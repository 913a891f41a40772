//! A page as its answer: the documents of its slots, joined as the replica returned them, and where the next page begins.

use actix_web::web::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use shared::document::{DOCUMENT_SEPARATOR, last_begins_at};

use super::{cursor::Cursor, read_error::BadRow};
use crate::register::record::SlotRecord;

/// The document of a row of `parking_slots`. A row lacks its own only while a migration adds the documents.
macro_rules! document {
    () => {
        "coalesce(document, slot_document(uuid, name, status, version, created_at, updated_at))"
    };
}
pub(super) use document;

/// How the answer begins; the documents follow.
const BEGIN: &[u8] = br#"{"items":["#;

/// Room for what follows the documents: the next cursor takes 34 bytes.
const END_BYTES: usize = 64;

/// A page. Callers that asked for the same one share its bytes.
#[derive(Clone, Debug)]
pub struct Page {
    body: Bytes,
    next: Option<Cursor>,
}

#[derive(Deserialize)]
struct ReadBody<'b> {
    #[serde(borrow)]
    items: Vec<&'b RawValue>,
}

impl Page {
    /// The answer: one JSON object with the slots, in creation order, and the next cursor.
    #[must_use]
    pub fn body(&self) -> Bytes {
        self.body.clone()
    }

    /// Where the next page begins; `None` exactly when no slot follows.
    #[must_use]
    pub fn next(&self) -> Option<Cursor> {
        self.next
    }

    /// Reads the slots, in creation order.
    ///
    /// # Errors
    /// A document was changed by hand, and is none of a slot.
    pub fn records(&self) -> Result<Vec<SlotRecord>, serde_json::Error> {
        let ReadBody { items } = serde_json::from_slice(&self.body)?;
        items.into_iter().map(|item| SlotRecord::of_document(item.get().as_bytes())).collect()
    }
}

/// A page to which documents are added.
#[derive(Debug, Default)]
pub(super) struct PageDraft {
    body: Vec<u8>,
    slots: usize,
}

impl PageDraft {
    /// Adds the documents of so many slots, joined.
    pub(super) fn add(&mut self, slots: usize, documents: &str) {
        self.begin(documents.len());
        if self.slots > 0 {
            self.body.push(DOCUMENT_SEPARATOR);
        }
        self.body.extend_from_slice(documents.as_bytes());
        self.slots += slots;
    }

    /// The page of at most `limit` slots. A further one tells that another page follows, and is left out.
    ///
    /// # Errors
    /// The place behind the last slot cannot be read from its document.
    pub(super) fn finish(mut self, limit: u16) -> Result<Page, BadRow> {
        self.begin(0);
        let next = match self.slots > usize::from(limit) {
            true => Some(self.drop_last()?),
            false => None,
        };
        self.body.extend_from_slice(br#"],"next_cursor":"#);
        match next.map(Cursor::encode) {
            Some(cursor) => {
                self.body.push(b'"');
                self.body.extend_from_slice(cursor.as_bytes());
                self.body.push(b'"');
            }
            None => self.body.extend_from_slice(b"null"),
        }
        self.body.push(b'}');
        Ok(Page { body: self.body.into(), next })
    }

    fn begin(&mut self, bytes: usize) {
        if self.body.is_empty() {
            self.body.reserve_exact(BEGIN.len() + bytes + END_BYTES);
            self.body.extend_from_slice(BEGIN);
        }
    }

    /// Removes the last document, and returns the place behind the one before it.
    fn drop_last(&mut self) -> Result<Cursor, BadRow> {
        let documents = &self.body[BEGIN.len()..];
        let last = last_begins_at(documents);
        let kept = &documents[..last.saturating_sub(1)];
        let record = SlotRecord::of_document(&kept[last_begins_at(kept)..]).map_err(BadRow::Document)?;
        let bytes = BEGIN.len() + kept.len();
        self.body.truncate(bytes);
        Ok(Cursor::behind(&record))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};
    use shared::slot::{Slot, SlotName, SlotStatus, Version};
    use uuid::Uuid;

    use super::*;

    fn record(number: u128) -> SlotRecord {
        let name = SlotName::parse(&format!(r#"Bay {number}"}},{{"uuid":"#)).expect("a name");
        let at = Timestamp::from_second(number.try_into().expect("a second")).expect("a time");
        let uuid = Uuid::from_u128(number);
        let slot = Slot { uuid, name, status: SlotStatus::Available, version: Version::FIRST };
        SlotRecord { slot, created_at: at, updated_at: at }
    }

    fn documents(records: &[SlotRecord]) -> Vec<String> {
        records.iter().map(|record| serde_json::to_string(record).expect("a document")).collect()
    }

    /// A page of so many slots, whose documents come joined.
    fn joined(records: &[SlotRecord], limit: u16) -> Page {
        let mut draft = PageDraft::default();
        if !records.is_empty() {
            draft.add(records.len(), &documents(records).join(","));
        }
        draft.finish(limit).expect("a page")
    }

    #[test]
    fn a_page_is_its_slots_and_the_place_behind_the_last_one() {
        for (found, limit) in [(0, 1), (1, 1), (2, 1), (2, 2), (3, 2), (51, 50)] {
            let records: Vec<SlotRecord> = (1..=found).map(record).collect();

            let page = joined(&records, limit);

            let shown = &records[..records.len().min(limit.into())];
            let next = (records.len() > shown.len()).then(|| Cursor::behind(&shown[shown.len() - 1]));
            assert_eq!(page.next(), next, "{found} found, {limit} shown");
            assert_eq!(page.records().expect("slots"), shown, "{found} found, {limit} shown");
            let body: Value = serde_json::from_slice(&page.body()).expect("JSON");
            assert_eq!(body, json!({ "items": shown, "next_cursor": next.map(Cursor::encode) }));
        }
    }

    #[test]
    fn documents_that_come_one_by_one_make_the_same_page() {
        let records: Vec<SlotRecord> = (1..=4).map(record).collect();
        let mut draft = PageDraft::default();
        for document in documents(&records) {
            draft.add(1, &document);
        }

        let page = draft.finish(3).expect("a page");

        assert_eq!(page.body(), joined(&records, 3).body());
    }

    #[test]
    fn a_page_with_no_place_behind_its_last_slot_is_an_error() {
        let mut draft = PageDraft::default();
        draft.add(2, r#"{},{"uuid":"00000000-0000-0000-0000-000000000001"}"#);

        assert!(matches!(draft.finish(1), Err(BadRow::Document(_))));
    }
}
