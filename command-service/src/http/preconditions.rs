//! `If-Match`, `If-None-Match` and `ETag` (RFC 9110, 8.8.3 and 13.1). A slot's entity tag is its version in quotes.

use actix_web::{
    HttpRequest,
    http::header::{self, HeaderName},
};
use shared::slot::{Precondition, Version};

use super::{problem::Problem, problem_types::ProblemType};

/// The entity tag of a version.
#[must_use]
pub fn etag(version: Version) -> String {
    format!("\"{version}\"")
}

/// The precondition in `If-Match`. Without the header: the slot exists.
///
/// # Errors
/// `invalid-parameter` if the header is malformed.
pub fn if_match(request: &HttpRequest) -> Result<Precondition, Problem> {
    Ok(match entity_tags(request, &header::IF_MATCH)? {
        None | Some(Tags::Any) => Precondition::Exists,
        // Strong comparison: a weak tag matches nothing. A tag that the service never issued matches nothing either.
        Some(Tags::List(tags)) => {
            Precondition::VersionIn(tags.iter().filter(|tag| !tag.weak).filter_map(Tag::version).collect())
        }
    })
}

/// Refuses `If-Match` on a create, because a new slot has no version to compare.
///
/// # Errors
/// `invalid-parameter` if the request has the header.
pub fn no_if_match(request: &HttpRequest) -> Result<(), Problem> {
    if !request.headers().contains_key(header::IF_MATCH) {
        return Ok(());
    }
    let detail = "If-Match has no meaning on a create: a new slot has no version to compare";
    Err(Problem::new(ProblemType::InvalidParameter, detail))
}

/// The versions that the client already has, according to `If-None-Match`.
#[derive(Debug)]
pub struct CallerHas(Option<Tags>);

/// Reads `If-None-Match`.
///
/// # Errors
/// `invalid-parameter` if the header is malformed.
pub fn if_none_match(request: &HttpRequest) -> Result<CallerHas, Problem> {
    Ok(CallerHas(entity_tags(request, &header::IF_NONE_MATCH)?))
}

impl CallerHas {
    /// Whether the client has this version.
    #[must_use]
    pub fn version(&self, version: Version) -> bool {
        match &self.0 {
            None => false,
            Some(Tags::Any) => true,
            Some(Tags::List(tags)) => tags.iter().any(|tag| tag.version() == Some(version)),
        }
    }
}

#[derive(Debug)]
enum Tags {
    Any,
    List(Vec<Tag>),
}

#[derive(Debug)]
struct Tag {
    weak: bool,
    text: String,
}

impl Tag {
    /// The version in the tag. `None` for any other text, including `"01"`, which differs from `"1"`.
    fn version(&self) -> Option<Version> {
        let version = self.text.parse().ok().and_then(Version::new)?;
        (version.to_string() == self.text).then_some(version)
    }
}

fn entity_tags(request: &HttpRequest, name: &HeaderName) -> Result<Option<Tags>, Problem> {
    let malformed = || {
        Problem::new(
            ProblemType::InvalidParameter,
            format!("{name} must be * or a list of entity tags such as \"1\""),
        )
    };
    let mut lines = Vec::new();
    for line in request.headers().get_all(name) {
        lines.push(std::str::from_utf8(line.as_bytes()).map_err(|_| malformed())?);
    }
    if lines.is_empty() {
        return Ok(None);
    }
    let list = lines.join(",");
    if list.trim() == "*" {
        return Ok(Some(Tags::Any));
    }
    parse_list(&list).map(|tags| Some(Tags::List(tags))).ok_or_else(malformed)
}

/// Parses `#entity-tag`: a list separated by commas. Empty elements are allowed; at least one tag is required.
fn parse_list(list: &str) -> Option<Vec<Tag>> {
    let mut tags = Vec::new();
    let mut rest = list.trim_start_matches([',', ' ', '\t']);
    while !rest.is_empty() {
        let (weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |quoted| (true, quoted));
        let (text, after) = quoted.strip_prefix('"')?.split_once('"')?;
        if !text.bytes().all(|byte| byte == 0x21 || (0x23..=0x7e).contains(&byte) || byte >= 0x80) {
            return None;
        }
        tags.push(Tag { weak, text: text.to_owned() });
        let after = after.trim_start_matches([' ', '\t']);
        if !after.is_empty() && !after.starts_with(',') {
            return None;
        }
        rest = after.trim_start_matches([',', ' ', '\t']);
    }
    (!tags.is_empty()).then_some(tags)
}
