//! Query parameters and path segments. What is unknown, repeated or malformed is refused: a parameter that is
//! silently without effect would be a lie.

use uuid::Uuid;

use super::problem::{Problem, ProblemType};
use crate::queries::{
    cursor::Cursor,
    list::{LIMIT_DEFAULT, LIMIT_MAX},
};

/// The query's parameters, taken one by one.
#[derive(Debug)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Splits a query string.
    ///
    /// # Errors
    /// `invalid-parameter` if a name occurs twice.
    pub fn parse(query: &str) -> Result<Self, Problem> {
        let mut parameters: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if parameters.iter().any(|(known, _)| *known == name) {
                return Err(invalid(&name, "must occur once"));
            }
            parameters.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(parameters))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// The number of slots in a page.
    ///
    /// # Errors
    /// `invalid-parameter` if it is not from 1 to [`LIMIT_MAX`].
    pub fn limit(&mut self) -> Result<u16, Problem> {
        let Some(text) = self.take("limit") else {
            return Ok(LIMIT_DEFAULT);
        };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let limit = digits.then(|| text.parse().ok()).flatten();
        limit
            .filter(|limit| (1..=LIMIT_MAX).contains(limit))
            .ok_or_else(|| invalid("limit", "must be from 1 to 1000"))
    }

    /// Where the page begins.
    ///
    /// # Errors
    /// `invalid-parameter` if no page gave it out.
    pub fn cursor(&mut self) -> Result<Cursor, Problem> {
        let Some(text) = self.take("cursor") else {
            return Ok(Cursor::START);
        };
        Cursor::decode(&text).ok_or_else(|| invalid("cursor", "must be a next_cursor of an earlier page"))
    }

    /// To be called when every known parameter has been asked for.
    ///
    /// # Errors
    /// `invalid-parameter` if one is left over.
    pub fn finish(self) -> Result<(), Problem> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(invalid(name, "is not a parameter of this resource")),
        }
    }
}

/// A slot's uuid in a path, in its usual form of 36 characters.
///
/// # Errors
/// `invalid-parameter`.
pub fn slot_uuid(segment: &str) -> Result<Uuid, Problem> {
    let usual = segment.len() == 36;
    usual.then(|| Uuid::try_parse(segment).ok()).flatten().ok_or_else(|| invalid("uuid", "must be a UUID"))
}

fn invalid(name: &str, rule: &str) -> Problem {
    Problem::new(ProblemType::InvalidParameter, format!("{name} {rule}"))
}
