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
) -> Result<web::Bytes, Problem> {
    let media_type =
        request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = media_type.split(';').next().unwrap_or("").trim();
    if !media_types.iter().any(|accepted| essence.eq_ignore_ascii_case(accepted)) {
        let detail = format!("Content-Type must be {}", media_types.join(" or "));
        return Err(Problem::new(ProblemType::UnsupportedMediaType, detail));
    }
    let arrived = timeout(BODY_DEADLINE, payload.to_bytes_limited(BODY_MAX_BYTES))
        .await
        .map_err(|_| Problem::new(ProblemType::RequestTimeout, "the body must arrive within 5 s"))?;
    arrived
        .map_err(|_| Problem::new(ProblemType::TooLarge, "the body must have at most 65536 bytes"))?
        .map_err(|_| Problem::new(ProblemType::MalformedJson, "the body was cut off"))
}

/// A member's value, as far as any field of ours can use it.
#[derive(Debug)]
enum Value {
    Text(String),
    Other,
}

/// The members of an object that nobody has asked for yet, and the faults found so far.
#[derive(Debug)]
pub struct Fields {
    members: Vec<(String, Value)>,
    faults: Vec<FieldFault>,
}

impl Fields {
    /// Reads an object.
    ///
    /// # Errors
    /// `malformed-json`, also when two members have one name; `invalid-value` for JSON that is not an object.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        match serde_json::from_slice(body) {
            Ok(Document::Object(members)) => Ok(Self { members, faults: Vec::new() }),
            Ok(Document::Other) => {
                let fault = FieldFault { pointer: String::new(), detail: "must be an object".to_owned() };
                Err(Problem::new(ProblemType::InvalidValue, "the body must be an object")
                    .with_errors(vec![fault]))
            }
            Err(error) => Err(Problem::new(ProblemType::MalformedJson, error.to_string())),
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
        let pointer = pointer(name);
        if found.is_none() && !self.faults.iter().any(|fault| fault.pointer == pointer) {
            self.faults.push(FieldFault { pointer, detail: "is required".to_owned() });
        }
    }

    fn text<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let at = self.members.iter().position(|(member, _)| member == name)?;
        let parsed = match self.members.swap_remove(at).1 {
            Value::Text(text) => parse(&text),
            Value::Other => Err("must be a string".to_owned()),
        };
        parsed.map_err(|detail| self.faults.push(FieldFault { pointer: pointer(name), detail })).ok()
    }

    /// To be called when every known member has been asked for.
    ///
    /// # Errors
    /// `unknown-field` if members are left over, else `invalid-value` if there were faults; either names them all.
    pub fn finish(mut self) -> Result<(), Problem> {
        let kind =
            if self.members.is_empty() { ProblemType::InvalidValue } else { ProblemType::UnknownField };
        let unknown = self.members.iter().map(|(name, _)| FieldFault {
            pointer: pointer(name),
            detail: "is not a field of a parking slot that can be set".to_owned(),
        });
        self.faults.extend(unknown);
        if self.faults.is_empty() {
            return Ok(());
        }
        self.faults.sort_by(|one, other| one.pointer.cmp(&other.pointer));
        Err(Problem::new(kind, "see errors").with_errors(self.faults))
    }
}

/// A member's place as a JSON pointer (RFC 6901).
fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

enum Document {
    Object(Vec<(String, Value)>),
    Other,
}

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
        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            Ok($other)
        }
    };
}

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    pass_over_scalars!(Document::Other);

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
