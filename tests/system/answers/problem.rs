//! What holds of every problem, whatever it is about.

use anyhow::{Context, Result, ensure};
use stack::Role;
use system_tests::{Call, Pair, Reply, service::Address};

/// Every type of problem, and its status.
pub(crate) const TYPES: [(&str, u16); 24] = [
    ("malformed-request", 400),
    ("malformed-json", 400),
    ("unknown-field", 400),
    ("invalid-parameter", 400),
    ("malformed-receipt", 400),
    ("not-found", 404),
    ("method-not-allowed", 405),
    ("request-timeout", 408),
    ("dead-lettered", 409),
    ("foreign-receipt", 409),
    ("idempotency-key-in-use", 409),
    ("version-mismatch", 412),
    ("too-large", 413),
    ("unsupported-media-type", 415),
    ("misdirected-request", 421),
    ("invalid-value", 422),
    ("idempotency-key-reused", 422),
    ("head-too-large", 431),
    ("internal", 500),
    ("primary-unavailable", 503),
    ("replica-unavailable", 503),
    ("overloaded", 503),
    ("outcome-unknown", 503),
    ("replica-behind", 504),
];

/// The members that a problem may have.
const MEMBERS: [&str; 8] = ["type", "title", "status", "detail", "instance", "errors", "more", "version"];

/// What belongs to the inside and not into an answer. Words are looked for in lower case.
const NEVER: [&str; 26] = [
    "postgres",
    "tokio",
    "lapin",
    "deadpool",
    "actix",
    "serde",
    "amqp",
    "rabbit",
    "127.0.0.1",
    "localhost",
    "::",
    ".rs",
    "src/",
    "/tmp",
    "/var",
    "panicked",
    "backtrace",
    "os error",
    "select ",
    "insert ",
    "update ",
    "sqlstate",
    "relation ",
    "parking_slots",
    "connection refused",
    "password",
];

/// The status of a type; none if there is no such type.
pub(crate) fn status_of(name: &str) -> Option<u16> {
    TYPES.iter().find(|(known, _)| *known == name).map(|(_, status)| *status)
}

/// What is known about the inside of one pair: ports, databases, roles.
#[derive(Clone, Debug)]
pub(crate) struct Inside(Vec<String>);

impl Inside {
    pub(crate) fn of(pair: &Pair) -> Self {
        let links = &pair.links;
        let proxies = [
            &links.command_primary,
            &links.command_replica,
            &links.relay_broker,
            &links.consumer_broker,
            &links.consumer_replica,
        ];
        let servers =
            [pair.primary.server.port(), pair.replica.server.port(), pair.broker.broker.ports().amqp];
        let ports = proxies.into_iter().map(system_tests::proxy::Proxy::port).chain(servers);
        let roles = [Role::CommandService, Role::CommandServiceReader, Role::EventConsumer];
        let names = [pair.primary.name.clone(), pair.replica.name.clone(), pair.broker.name.clone()];
        let mut inside: Vec<String> = NEVER.iter().map(ToString::to_string).collect();
        inside.extend(ports.map(|port| port.to_string()));
        inside.extend(roles.map(|role| role.name().to_owned()));
        inside.extend(names);
        Self(inside)
    }

    /// Nothing of the inside is in `text`.
    pub(crate) fn check(&self, text: &str) -> Result<()> {
        let lower = text.to_lowercase();
        let found: Vec<&String> = self.0.iter().filter(|word| holds_word(&lower, word)).collect();
        ensure!(found.is_empty(), "it shows {found:?}: {text}");
        Ok(())
    }
}

/// Whether `word` stands in `text`; digits only as a number of their own, since ids and times are full of them.
fn holds_word(text: &str, word: &str) -> bool {
    let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        let joins = |one: Option<char>| one.is_some_and(|one| one.is_ascii_alphanumeric() || one == '-');
        !is_number || !(joins(before.chars().next_back()) || joins(after.chars().next()))
    })
}

/// An answer that is no success is a problem in its right form, and shows nothing of the inside.
pub(crate) fn check_problem(reply: &Reply, inside: &Inside) -> Result<()> {
    let header = |name: &str| reply.header(name).with_context(|| format!("no {name}: {}", reply.text));
    let text = |name: &str| reply.body[name].as_str().with_context(|| format!("no {name}: {}", reply.text));
    ensure!(header("content-type")? == "application/problem+json", "{}", header("content-type")?);
    ensure!(header("cache-control")? == "no-store", "Cache-Control is {}", header("cache-control")?);
    let status = reply.status.as_u16();
    ensure!(text("type")?.starts_with("/problems/"), "its type is {}", text("type")?);
    ensure!(status_of(reply.problem()) == Some(status), "{} has the status {status}", reply.problem());
    ensure!(reply.body["status"] == status, "the body says another status than {status}: {}", reply.text);
    ensure!(!text("title")?.is_empty() && !text("detail")?.is_empty(), "it says nothing: {}", reply.text);
    ensure!(text("instance")? == header("x-request-id")?, "it is about another request: {}", reply.text);
    let members = reply.body.as_object().context("not an object")?;
    let strangers: Vec<&String> = members.keys().filter(|name| !MEMBERS.contains(&name.as_str())).collect();
    ensure!(strangers.is_empty(), "it has the members {strangers:?}");
    ensure!(
        (reply.body["version"].is_i64()) == (status == 412),
        "`version` belongs to 412 and only there: {}",
        reply.text
    );
    for error in reply.body["errors"].as_array().into_iter().flatten() {
        ensure!(error["pointer"].is_string(), "a fault without a place: {error}");
        inside.check(error["detail"].as_str().context("a fault without a detail")?)?;
    }
    if matches!(status, 503 | 504) {
        check_retry_after(reply)?;
    }
    inside.check(text("title")?)?;
    inside.check(&without_media_types(text("detail")?))?;
    for (name, value) in &reply.headers {
        let value = value.to_str()?;
        if name != "x-request-id" {
            inside.check(&without_media_types(value)).with_context(|| name.to_string())?;
        }
    }
    Ok(())
}

/// Whole seconds, at least one.
pub(crate) fn check_retry_after(reply: &Reply) -> Result<()> {
    let seconds = reply.header("retry-after").context("no Retry-After")?;
    let seconds: u32 = seconds.parse().with_context(|| format!("Retry-After is {seconds}"))?;
    ensure!(seconds >= 1, "Retry-After is {seconds}");
    Ok(())
}

/// What a problem's type leads to says the same as the problem.
pub(crate) async fn check_page(address: &Address, reply: &Reply) -> Result<()> {
    let target = reply.body["type"].as_str().context("no type")?;
    let page = Call::new("GET", target).send(address).await?.expect(200)?;
    let title = reply.body["title"].as_str().context("no title")?;
    ensure!(page.text.contains(title), "{target} does not say {title:?}: {}", page.text);
    let status = reply.status.as_u16().to_string();
    ensure!(page.text.contains(&status), "{target} does not say {status}: {}", page.text);
    Ok(())
}

/// Media types have a slash, as paths do.
fn without_media_types(text: &str) -> String {
    text.replace("application/", "").replace("text/", "")
}

#[test]
fn the_inside_is_found_in_a_text() {
    let inside = Inside(NEVER.iter().map(ToString::to_string).chain(["5432".to_owned()]).collect());
    let cases = [
        ("error connecting to server: Connection refused (os error 111)", false, "an error of the system"),
        ("relation \"x\" does not exist", false, "an error of PostgreSQL"),
        ("at port 5432.", false, "a port"),
        ("0198c5a2-5432-7c11-9f0a-6c2f7a2f6f55", true, "the same digits within a uuid"),
        ("2026-11-22T00:45:49.254321Z", true, "the same digits within a time"),
        ("called by command_service::http", false, "a path in the code"),
        ("the body must be an object", true, "what a problem says"),
    ];

    for (text, harmless, reason) in cases {
        assert_eq!(inside.check(text).is_ok(), harmless, "{text}: {reason}");
    }
}
