//! A JSON object's members. Every fault is named at once: malformed JSON alone, then unknown members, then values.

use std::{fmt, time::Duration};

use actix_web::{HttpRequest, http::header, web};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use shared::slot::{SlotName, SlotStatus};
use tokio::time::timeout;

use super::problem::{FieldFault, Problem, ProblemType};

/// The largest body of a request, in bytes.
pub const BODY_MAX_BYTES: usize = 64 * 1024;

/// The largest body of a batch of creates, in bytes.
pub const BATCH_BODY_MAX_BYTES: usize = 4 * 1024 * 1024;

/// How long a body may take to arrive.
pub const BODY_DEADLINE: Duration = Duration::from_secs(5);

/// Takes the request's body, if it is of one of these media types, small enough and quick enough.
///
/// # Errors
/// `unsupported-media-type`, `too-large`, `request-timeout`, or `malformed-json` for a body that was cut off.
pub async fn body(
    request: &HttpRequest,
    payload: web::Payload,
    media_types: &[&str],
    max_bytes: usize,
) -> Result<web::Bytes, Problem> {
    let media_type =
        request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = media_type.split(';').next().unwrap_or("").trim();
    if !media_types.iter().any(|accepted| essence.eq_ignore_ascii_case(accepted)) {
        let detail = format!("Content-Type must be {}", media_types.join(" or "));
        return Err(Problem::new(ProblemType::UnsupportedMediaType, detail));
    }
    let encoding = request.headers().get(header::CONTENT_ENCODING).map(header::HeaderValue::as_bytes);
    if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case(b"identity")) {
        return Err(Problem::new(ProblemType::UnsupportedMediaType, "the body must not be encoded"));
    }
    let arrived = timeout(BODY_DEADLINE, payload.to_bytes_limited(max_bytes))
        .await
        .map_err(|_| Problem::new(ProblemType::RequestTimeout, "the body must arrive within 5 s"))?;
    arrived
        .map_err(|_| {
            Problem::new(ProblemType::TooLarge, format!("the body must have at most {max_bytes} bytes"))
        })?
        .map_err(|_| Problem::new(ProblemType::MalformedJson, "the body was cut off"))
}

/// A member's value, as far as any field of ours can use it.
#[derive(Debug)]
enum Value {
    Text(String),
    Other,
}

/// What is wrong with a body.
#[derive(Debug, Default)]
pub struct Faults {
    list: Vec<FieldFault>,
    has_unknown_field: bool,
}

impl Faults {
    /// Adds a fault at `pointer`.
    pub fn add(&mut self, pointer: String, detail: impl Into<String>) {
        self.list.push(FieldFault { pointer, detail: detail.into() });
    }

    fn extend(&mut self, other: Self) {
        self.list.extend(other.list);
        self.has_unknown_field |= other.has_unknown_field;
    }

    /// Whether there are none.
    ///
    /// # Errors
    /// `unknown-field` if there is one, else `invalid-value`; either names every fault.
    pub fn check(self) -> Result<(), Problem> {
        if self.list.is_empty() {
            return Ok(());
        }
        let kind = if self.has_unknown_field { ProblemType::UnknownField } else { ProblemType::InvalidValue };
        Err(Problem::new(kind, "see errors").with_errors(self.list))
    }
}

/// The members of an object that nobody has asked for yet, and the faults found so far.
#[derive(Debug)]
pub struct Fields {
    /// Where the object stands in the body.
    pointer: String,
    members: Vec<(String, Value)>,
    faults: Faults,
}

impl Fields {
    /// Reads a body that is one object.
    ///
    /// # Errors
    /// `malformed-json`, also when two members have one name; `invalid-value` for JSON that is not an object.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let mut faults = Faults::default();
        let fields = Self::of(read(body)?, String::new(), &mut faults);
        faults.check()?;
        fields.ok_or_else(|| Problem::new(ProblemType::InvalidValue, "the body must be an object"))
    }

    /// Reads a body that is an array of 1 to `items_max` objects. What is wrong with items that are no objects goes to
    /// `faults`.
    ///
    /// # Errors
    /// `malformed-json`; `invalid-value` for JSON that is not such an array.
    pub fn parse_array(body: &[u8], items_max: usize, faults: &mut Faults) -> Result<Vec<Self>, Problem> {
        let Array(Some(items)) = read(body)? else {
            faults.add(String::new(), "must be an array");
            return Ok(Vec::new());
        };
        if items.is_empty() || items.len() > items_max {
            faults.add(String::new(), format!("must have 1 to {items_max} items"));
            return Ok(Vec::new());
        }
        let items = items.into_iter().enumerate();
        Ok(items.filter_map(|(number, item)| Self::of(item, format!("/{number}"), faults)).collect())
    }

    fn of(document: Document, pointer: String, faults: &mut Faults) -> Option<Self> {
        match document {
            Document::Object(members) => Some(Self { pointer, members, faults: Faults::default() }),
            Document::Other => {
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

    /// Makes it a fault that a member is absent. `found` is what was read of it.
    pub fn require<T>(&mut self, name: &str, found: Option<&T>) {
        let pointer = self.pointer_to(name);
        if found.is_none() && !self.faults.list.iter().any(|fault| fault.pointer == pointer) {
            self.faults.add(pointer, "is required");
        }
    }

    fn text<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let at = self.members.iter().position(|(member, _)| member == name)?;
        let parsed = match self.members.remove(at).1 {
            Value::Text(text) => parse(&text),
            Value::Other => Err("must be a string".to_owned()),
        };
        let pointer = self.pointer_to(name);
        parsed.map_err(|detail| self.faults.add(pointer, detail)).ok()
    }

    /// Adds the faults to `all`, when every known member has been asked for: one that is left over is unknown.
    pub fn finish(mut self, all: &mut Faults) {
        for (name, _) in &self.members {
            self.faults.add(self.pointer_to(name), "is not a field that can be set");
            self.faults.has_unknown_field = true;
        }
        all.extend(self.faults);
    }

    /// A member's place as a JSON pointer (RFC 6901).
    fn pointer_to(&self, name: &str) -> String {
        format!("{}/{}", self.pointer, name.replace('~', "~0").replace('/', "~1"))
    }
}

fn read<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::new(ProblemType::MalformedJson, error.to_string()))
}

enum Document {
    Object(Vec<(String, Value)>),
    Other,
}

/// The items of an array; `None` for what is no array.
struct Array(Option<Vec<Document>>);

struct ArrayVisitor;

struct DocumentVisitor;

/// Everything that is no object, and every value that is no text, is read to its end and passed over.
macro_rules! pass_over_scalars {
    ($other:expr) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($other)
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($other)
        }
    };
}

macro_rules! pass_over_arrays {
    ($other:expr) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            Ok($other)
        }
    };
}

impl<'de> Visitor<'de> for ArrayVisitor {
    type Value = Array;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    pass_over_scalars!(Array(None));

    fn visit_str<E>(self, _: &str) -> Result<Array, E> {
        Ok(Array(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Array, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Array(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Array, A::Error> {
        let mut documents = Vec::new();
        while let Some(document) = items.next_element()? {
            documents.push(document);
        }
        Ok(Array(Some(documents)))
    }
}

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    pass_over_scalars!(Document::Other);
    pass_over_arrays!(Document::Other);

    fn visit_str<E>(self, _: &str) -> Result<Document, E> {
        Ok(Document::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
        let mut members: Vec<(String, Value)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if members.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom(format_args!("duplicate member {name:?}")));
            }
            members.push((name, value));
        }
        Ok(Document::Object(members))
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    pass_over_scalars!(Value::Other);
    pass_over_arrays!(Value::Other);

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }
}

impl<'de> Deserialize<'de> for Array {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ArrayVisitor)
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DocumentVisitor)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}
