//! Parses query parameters and path segments. It refuses unknown, repeated and malformed ones: a parameter without
//! effect would mislead the client.

use std::time::Duration;

use shared::slot::SlotStatus;
use uuid::Uuid;

use super::{problem::Problem, problem_types::ProblemType};
use crate::{
    freshness::demand::{
        Demand, MAX_STALENESS_MS_MAX, OnTimeout, RECEIPTS_MAX, WAIT_MS_DEFAULT, WAIT_MS_MAX,
    },
    queries::{
        cursor::Cursor,
        list::{Filter, LIMIT_DEFAULT, LIMIT_MAX},
    },
    register::receipt::Receipt,
};

/// The only parameter that may occur more than once.
const RECEIPT: &str = "receipt";

/// The query's parameters that the handler has not taken yet.
#[derive(Debug)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Splits a query string.
    ///
    /// # Errors
    /// `invalid-parameter` if a name other than `receipt` repeats, or if decoded text is not UTF-8.
    pub fn parse(query: &str) -> Result<Self, Problem> {
        let mut parameters: Vec<(String, String)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).ok_or_else(|| invalid("a name", "must be UTF-8, percent-encoded"))?;
            let value = decode(value).ok_or_else(|| invalid(&name, "must be UTF-8, percent-encoded"))?;
            if name != RECEIPT && parameters.iter().any(|(known, _)| *known == name) {
                return Err(invalid(&name, "must occur once"));
            }
            parameters.push((name, value));
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
        // Only the usual form passes: not `+1`, not `01`.
        let limit = text.parse().ok().filter(|limit: &u16| limit.to_string() == text);
        limit
            .filter(|limit| (1..=LIMIT_MAX).contains(limit))
            .ok_or_else(|| invalid("limit", "must be from 1 to 1000, without zeros before it"))
    }

    /// Where the page begins.
    ///
    /// # Errors
    /// `invalid-parameter` if it is not a `next_cursor` of an earlier page.
    pub fn cursor(&mut self) -> Result<Cursor, Problem> {
        let Some(text) = self.take("cursor") else {
            return Ok(Cursor::START);
        };
        Cursor::decode(&text).ok_or_else(|| invalid("cursor", "must be a next_cursor of an earlier page"))
    }

    /// Which slots to list.
    ///
    /// # Errors
    /// `invalid-parameter` if `status` or `name` is not valid.
    pub fn filter(&mut self) -> Result<Filter, Problem> {
        let status = self.take("status").map(|text| {
            SlotStatus::parse(&text)
                .ok_or_else(|| invalid("status", "must be available, reserved, occupied or blocked"))
        });
        let name = self.take("name").map(|text| {
            Filter::name_part(&text)
                .ok_or_else(|| invalid("name", "must be 1 to 200 characters, none of them control"))
        });
        Ok(Filter { status: status.transpose()?, name_contains: name.transpose()? })
    }

    /// How fresh the answer must be.
    ///
    /// # Errors
    /// `malformed-receipt` or `invalid-parameter`.
    pub fn demand(&mut self) -> Result<Demand, Problem> {
        let strong = self.one_of("consistency", &[("eventual", false), ("strong", true)])?;
        let on_timeout =
            self.one_of("on_timeout", &[("fail", OnTimeout::Fail), ("stale", OnTimeout::Stale)])?;
        Ok(Demand {
            strong: strong.unwrap_or_default(),
            on_timeout: on_timeout.unwrap_or_default(),
            max_staleness: self.milliseconds("max_staleness_ms", MAX_STALENESS_MS_MAX)?,
            wait: self
                .milliseconds("wait_ms", WAIT_MS_MAX)?
                .unwrap_or(Duration::from_millis(WAIT_MS_DEFAULT)),
            receipts: self.receipts()?,
        })
    }

    fn receipts(&mut self) -> Result<Vec<Receipt>, Problem> {
        let mut receipts = Vec::new();
        while let Some(text) = self.take(RECEIPT) {
            if receipts.len() == RECEIPTS_MAX {
                return Err(invalid(RECEIPT, &format!("must occur at most {RECEIPTS_MAX} times")));
            }
            receipts.push(Receipt::decode(&text).ok_or_else(Problem::malformed_receipt)?);
        }
        Ok(receipts)
    }

    fn one_of<T: Copy>(&mut self, name: &str, values: &[(&str, T)]) -> Result<Option<T>, Problem> {
        let Some(text) = self.take(name) else {
            return Ok(None);
        };
        let found = values.iter().find(|(value, _)| *value == text).map(|(_, meaning)| *meaning);
        let names: Vec<_> = values.iter().map(|(value, _)| *value).collect();
        found.map(Some).ok_or_else(|| invalid(name, &format!("must be {}", names.join(" or "))))
    }

    fn milliseconds(&mut self, name: &str, max: u64) -> Result<Option<Duration>, Problem> {
        let Some(text) = self.take(name) else {
            return Ok(None);
        };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let milliseconds =
            digits.then(|| text.parse().ok()).flatten().filter(|milliseconds| *milliseconds <= max);
        milliseconds
            .map(|milliseconds| Some(Duration::from_millis(milliseconds)))
            .ok_or_else(|| invalid(name, &format!("must be from 0 to {max}")))
    }

    /// Call it last: every parameter that the handler has not taken is unknown.
    ///
    /// # Errors
    /// `invalid-parameter` if a parameter is left.
    pub fn finish(self) -> Result<(), Problem> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(invalid(name, "is not a parameter of this resource")),
        }
    }
}

/// Parses a slot's uuid in a path. It accepts only the usual form of 36 characters.
///
/// # Errors
/// `invalid-parameter`.
pub fn slot_uuid(segment: &str) -> Result<Uuid, Problem> {
    let usual = segment.len() == 36;
    usual.then(|| Uuid::try_parse(segment).ok()).flatten().ok_or_else(|| {
        invalid(
            "uuid",
            "must be a UUID of 36 characters; besides /parking-slots/{uuid} there are /parking-slots/batch and \
             /parking-slots/summary",
        )
    })
}

/// Decodes `application/x-www-form-urlencoded`. `None` for invalid escapes and for text that is not UTF-8.
fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    // The decoder accepts a percent sign that begins no escape. This check refuses it.
    let mut after_signs = spaced.split('%').skip(1);
    if !after_signs
        .all(|rest| rest.as_bytes().iter().take(2).filter(|byte| byte.is_ascii_hexdigit()).count() == 2)
    {
        return None;
    }
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

fn invalid(name: &str, rule: &str) -> Problem {
    Problem::new(ProblemType::InvalidParameter, format!("{name} {rule}"))
}
