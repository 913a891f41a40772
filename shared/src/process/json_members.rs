//! The fields of spans and events as members of a JSON object.

use std::fmt;

use serde::{Serialize, Serializer};
use tracing::{
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{
        FormattedFields,
        format::{FormatFields, Writer},
    },
};

/// Formats the fields of a span as members of an object, each with a comma behind it.
#[derive(Debug)]
pub(super) struct JsonMembers;

impl<'writer> FormatFields<'writer> for JsonMembers {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut members = MemberList(Vec::new());
        fields.record(&mut members);
        writer.write_str(members.text()?)
    }

    fn add_fields(
        &self,
        current: &'writer mut FormattedFields<Self>,
        fields: &span::Record<'_>,
    ) -> fmt::Result {
        self.format_fields(current.as_writer(), fields)
    }
}

/// Members of an object, each with a comma behind it.
pub(super) struct MemberList(pub(super) Vec<u8>);

impl MemberList {
    /// Adds a member.
    pub(super) fn member<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        let begin = self.0.len();
        let written = serde_json::to_writer(&mut self.0, name).and_then(|()| {
            self.0.push(b':');
            serde_json::to_writer(&mut self.0, value)
        });
        match written {
            Ok(()) => self.0.push(b','),
            // A value that fails to show itself costs its own member, not the line.
            Err(_) => self.0.truncate(begin),
        }
    }

    /// Ends the object in place of its last comma.
    pub(super) fn end_object(&mut self) {
        self.0.pop();
        self.0.push(b'}');
    }

    /// What was written so far.
    pub(super) fn text(&self) -> Result<&str, fmt::Error> {
        std::str::from_utf8(&self.0).map_err(|_| fmt::Error)
    }
}

impl Visit for MemberList {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.member(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field.name(), &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field.name(), &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.member(field.name(), &DebugText(value));
    }
}

/// A value that serializes as what its `Debug` shows.
struct DebugText<'v>(&'v dyn fmt::Debug);

impl Serialize for DebugText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:?}", self.0))
    }
}
