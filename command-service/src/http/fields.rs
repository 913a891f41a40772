//! Reads a JSON object's members.
//!
//! An answer for malformed JSON names that fault alone. Any other answer lists unknown members and invalid values
//! together.

use std::{collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use shared::slot::{SlotName, SlotStatus};

use super::{
    problem::{FieldFault, Problem},
    problem_types::ProblemType,
};

/// A member's value. Every field of this API is a text.
#[derive(Debug)]
enum FieldValue {
    Text(String),
    Other,
}

/// The most faults that one answer names. It keeps an answer from growing to many times the size of its request.
pub const FAULTS_MAX: usize = 100;

/// What is wrong with a body.
#[derive(Debug, Default)]
pub struct Faults {
    /// At most [`FAULTS_MAX`].
    list: Vec<FieldFault>,
    /// How many further faults the list leaves out.
    more: usize,
    has_unknown_field: bool,
}

impl Faults {
    /// Adds a fault at `pointer`.
    pub fn add(&mut self, pointer: String, detail: impl Into<String>) {
        if self.list.len() == FAULTS_MAX {
            self.more += 1;
            return;
        }
        self.list.push(FieldFault { pointer, detail: detail.into() });
    }

    fn extend(&mut self, other: Self) {
        let room = FAULTS_MAX - self.list.len();
        self.more += other.more + other.list.len().saturating_sub(room);
        self.list.extend(other.list.into_iter().take(room));
        self.has_unknown_field |= other.has_unknown_field;
    }

    /// Succeeds if there are no faults.
    ///
    /// # Errors
    /// `unknown-field` if a field is unknown, else `invalid-value`; either names up to [`FAULTS_MAX`] faults.
    pub fn check(self) -> Result<(), Problem> {
        if self.list.is_empty() {
            return Ok(());
        }
        let kind = if self.has_unknown_field { ProblemType::UnknownField } else { ProblemType::InvalidValue };
        Err(Problem::new(kind, "see errors").with_errors(self.list, self.more))
    }
}

/// The members of an object that the handler has not taken yet, and the faults found so far.
#[derive(Debug)]
pub struct Fields {
    /// The object's place in the body, as a JSON pointer.
    pointer: String,
    members: Vec<(String, FieldValue)>,
    faults: Faults,
}

impl Fields {
    /// Reads a body that is one object.
    ///
    /// # Errors
    /// `malformed-json`, also if two members have the same name; `invalid-value` for JSON that is not an object.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let mut faults = Faults::default();
        let fields = Self::of(read(body)?, String::new(), &mut faults);
        faults.check()?;
        fields.ok_or_else(|| Problem::new(ProblemType::InvalidValue, "the body must be an object"))
    }

    /// Reads a body that is an array of 1 to `items_max` objects. Any other shape adds to `faults`.
    ///
    /// # Errors
    /// `malformed-json`, also if two members of an item have the same name.
    pub fn parse_array(body: &[u8], items_max: usize, faults: &mut Faults) -> Result<Vec<Self>, Problem> {
        let Document::Array(items) = read(body)? else {
            faults.add(String::new(), "must be an array");
            return Ok(Vec::new());
        };
        if items.is_empty() || items.len() > items_max {
            faults.add(String::new(), format!("must have 1 to {items_max} items"));
            return Ok(Vec::new());
        }
        let mut objects = Vec::with_capacity(items.len());
        for (number, item) in items.into_iter().enumerate() {
            objects.extend(Self::of(take_apart(item)?, format!("/{number}"), faults));
        }
        Ok(objects)
    }

    fn of(document: Document<'_>, pointer: String, faults: &mut Faults) -> Option<Self> {
        match document {
            Document::Object(members) => Some(Self { pointer, members, faults: Faults::default() }),
            Document::Array(_) | Document::Other => {
                faults.add(pointer, "must be an object");
                None
            }
        }
    }

    /// A slot's name.
    pub fn name(&mut self) -> Option<SlotName> {
        self.text("name", |text| SlotName::parse(text).map_err(|error| error.to_string()))
    }

    /// A slot's status.
    pub fn status(&mut self) -> Option<SlotStatus> {
        self.text("status", |text| {
            SlotStatus::parse(text)
                .ok_or_else(|| "must be available, reserved, occupied or blocked".to_owned())
        })
    }

    /// Adds a fault if the member is absent: `found` is `None` and the member has no other fault.
    pub fn require<T>(&mut self, name: &str, found: Option<&T>) {
        let pointer = self.pointer_to(name);
        if found.is_none() && !self.faults.list.iter().any(|fault| fault.pointer == pointer) {
            self.faults.add(pointer, "is required");
        }
    }

    fn text<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let at = self.members.iter().position(|(member, _)| member == name)?;
        let parsed = match self.members.remove(at).1 {
            FieldValue::Text(text) => parse(&text),
            FieldValue::Other => Err("must be a string".to_owned()),
        };
        let pointer = self.pointer_to(name);
        parsed.map_err(|detail| self.faults.add(pointer, detail)).ok()
    }

    /// Adds the faults to `all`. Call it last: every member that the handler has not taken is an unknown field.
    pub fn finish(mut self, all: &mut Faults) {
        for (name, _) in &self.members {
            self.faults.add(self.pointer_to(name), "is not a field that can be set: name and status are");
            self.faults.has_unknown_field = true;
        }
        all.extend(self.faults);
    }

    /// A member's place as a JSON pointer (RFC 6901).
    fn pointer_to(&self, name: &str) -> String {
        format!("{}/{}", self.pointer, name.replace('~', "~0").replace('/', "~1"))
    }
}

/// A document with valid syntax, parsed at its top level only. It does not parse numbers, whatever their
/// size: no field of this API is a number.
enum Document<'body> {
    Object(Vec<(String, FieldValue)>),
    Array(Vec<&'body RawValue>),
    Other,
}

fn malformed(error: impl ToString) -> Problem {
    Problem::new(ProblemType::MalformedJson, error.to_string())
}

fn read(body: &[u8]) -> Result<Document<'_>, Problem> {
    // Checks the whole body for UTF-8, including the values that the parser skips.
    let text = std::str::from_utf8(body).map_err(malformed)?;
    take_apart(serde_json::from_str(text).map_err(malformed)?)
}

fn take_apart(document: &RawValue) -> Result<Document<'_>, Problem> {
    let text = document.get();
    Ok(match text.as_bytes().first() {
        Some(b'{') => Document::Object(serde_json::from_str::<Members>(text).map_err(malformed)?.0),
        Some(b'[') => Document::Array(serde_json::from_str(text).map_err(malformed)?),
        _ => Document::Other,
    })
}

/// The members of an object, in order; each name occurs once.
struct Members(Vec<(String, FieldValue)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut names = HashSet::new();
        let mut members = Vec::new();
        while let Some((name, raw)) = map.next_entry::<String, &RawValue>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom(format_args!("duplicate member {name:?}")));
            }
            let value = match raw.get().starts_with('"') {
                // `RawValue` accepts half a surrogate pair; this parse refuses it.
                true => FieldValue::Text(serde_json::from_str(raw.get()).map_err(|_| {
                    A::Error::custom(format_args!("half of a surrogate pair in member {name:?}"))
                })?),
                false => FieldValue::Other,
            };
            members.push((name, value));
        }
        Ok(Members(members))
    }
}
