//! Paths, methods, `HEAD`, and the pages of problems.

use anyhow::{Context, Result, ensure};
use reqwest::header::HeaderMap;
use shared::broker::signing::UNSIGNED_MESSAGES;
use system_tests::{Call, Pair, Reply, assert_level, wire::send_bytes, with_pair};

use super::{
    BATCH, Case, SLOTS, check_refusals, create, get,
    problem::{Inside, TYPES, check_page, check_problem},
};

const READ: &str = "GET, HEAD";

/// Every path and what it allows.
async fn resources(pair: &Pair) -> Result<Vec<(String, &'static str)>> {
    let slot = pair.client().created("Slot 1").await?.uuid;
    assert_level(pair).await?;
    Ok(vec![
        (SLOTS.to_owned(), "GET, HEAD, POST"),
        (BATCH.to_owned(), "POST"),
        ("/parking-slots/summary".to_owned(), READ),
        (format!("{SLOTS}/{slot}"), "GET, HEAD, PATCH, DELETE"),
        ("/health".to_owned(), READ),
        ("/livez".to_owned(), READ),
        ("/readyz".to_owned(), READ),
        ("/problems/not-found".to_owned(), READ),
    ])
}

#[test]
fn every_method_that_a_resource_does_not_have_is_a_405_that_names_those_it_has() -> Result<()> {
    const METHODS: [&str; 11] =
        ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", "BREW"];
    with_pair(async |pair| {
        let (address, inside) = (pair.command_service().address(), Inside::of(pair));

        for (path, allow) in resources(pair).await? {
            for method in
                METHODS.iter().filter(|method| !allow.split(", ").any(|allowed| allowed == **method))
            {
                let reply = Call::new(method, path.as_str()).send(&address).await?;

                let what = format!("{method} {path}");
                assert_eq!(reply.status.as_u16(), 405, "{what}: {}", reply.text);
                assert_eq!(reply.header("allow"), Some(allow), "{what}");
                if *method != "HEAD" {
                    check_problem(&reply, &inside)?;
                }
            }
            for method in allow.split(", ") {
                let reply = Call::new(method, path.as_str()).send(&address).await?;
                assert_ne!(reply.status.as_u16(), 405, "{method} {path} is allowed");
            }
        }
        Ok(())
    })
}

#[test]
fn head_is_get_without_the_body() -> Result<()> {
    with_pair(async |pair| {
        let address = pair.command_service().address();
        let mut paths: Vec<String> = resources(pair)
            .await?
            .into_iter()
            .filter(|(_, allow)| allow.starts_with(READ))
            .map(|(path, _)| path)
            .collect();
        let unknown = "0198c5a2-0000-7c11-9f0a-6c2f7a2f6f55";
        paths.extend(["?limit=1", "?limit=0", "?x=1", "/none", "/batch"].map(|end| format!("{SLOTS}{end}")));
        paths.extend([format!("{SLOTS}/{unknown}"), "/nowhere".to_owned()]);
        pair.client().created("Slot 2").await?;
        assert_level(pair).await?;

        for path in paths {
            let call = |method| Call::new(method, path.as_str()).header("X-Request-Id", "the-same");
            let (get, head) = (call("GET").send(&address).await?, call("HEAD").send(&address).await?);

            assert_eq!(get.status, head.status, "{path}");
            assert!(head.text.is_empty(), "{path} is answered with {}", head.text);
            assert_eq!(comparable(&get), comparable(&head), "{path}");
        }
        Ok(())
    })
}

/// The headers without the values of those that are different each time.
fn comparable(reply: &Reply) -> HeaderMap {
    let mut headers = reply.headers.clone();
    for name in ["date", "server-timing", "freshness-as-of", "freshness-lag-ms"] {
        if let Some(value) = headers.get_mut(name) {
            *value = reqwest::header::HeaderValue::from_static("some");
        }
    }
    headers
}

#[test]
fn a_path_where_nothing_is_is_a_404() -> Result<()> {
    with_pair(async |pair| {
        let slot = pair.client().created("Slot 1").await?.uuid;
        let paths = [
            ("/", "the root"),
            ("/parking-slot", "singular"),
            ("/Parking-Slots", "case matters"),
            ("/parking-slots/", "a slash behind it"),
            ("//parking-slots", "two slashes"),
            ("/parking-slots/batch/1", "too deep"),
            ("/parking-slots/../health", "a way up"),
            ("/health/", "a slash behind it"),
            ("/problems", "no name"),
            ("/problems/", "no name"),
            ("/problems/none", "a type that does not exist"),
            ("/problems/Not-RowWriters", "case matters"),
            ("/problems/dead-lettered/x", "too deep"),
            ("/%2e%2e/etc/passwd", "a way out"),
            ("/admin", "nothing hidden"),
            ("/.env", "nothing hidden"),
        ];

        let mut cases = Vec::new();
        for (path, reason) in paths {
            cases.push(Case::new(reason, get(path), "not-found"));
            cases.push(Case::new(reason, get(format!("{path}?limit=1")), "not-found"));
            if !path.starts_with("/problems/") {
                cases.push(Case::new(reason, Call::new("POST", path).json("{\"name\":\"A\"}"), "not-found"));
                cases.push(Case::new(reason, Call::new("BREW", path), "not-found"));
            }
        }
        let below = format!("{SLOTS}/{slot}/name");
        cases.push(Case::new("below a slot", Call::new("DELETE", below), "not-found"));

        check_refusals(pair, cases).await
    })
}

#[test]
fn each_type_of_problem_has_a_page_and_nothing_else_has() -> Result<()> {
    with_pair(async |pair| {
        let (address, inside) = (pair.command_service().address(), Inside::of(pair));

        for (name, status) in TYPES {
            let page = get(format!("/problems/{name}")).send(&address).await?.expect(200)?;
            assert_eq!(page.header("content-type"), Some("text/plain; charset=utf-8"), "{name}");
            assert!(page.text.starts_with(&format!("{name} ({status} ")), "{name}: {}", page.text);
            let harmless = page.text.contains("Nothing happened.");
            assert_eq!(
                harmless,
                name != "outcome-unknown",
                "{name} says whether something may have happened"
            );
            inside.check(&page.text)?;
            let advice = page.text.splitn(3, "\n\n").nth(2).with_context(|| page.text.clone())?;
            let sentences =
                advice.split_inclusive(['.', '?']).filter(|sentence| sentence.contains(' ')).count();
            ensure!(
                (2..=4).contains(&sentences),
                "{name} says what to do in {sentences} sentences: {advice}"
            );
        }

        // What a problem links to is about that problem.
        for call in [get("/nowhere"), get("/parking-slots?limit=0"), Call::new("PUT", "/health")] {
            let reply = call.send(&address).await?;
            ensure!(reply.status.is_client_error(), "{}", reply.text);
            check_page(&address, &reply).await?;
        }
        Ok(())
    })
}

#[test]
fn the_consumer_answers_about_its_health() -> Result<()> {
    with_pair(async |pair| {
        let (address, inside) = (pair.event_consumer().address(), Inside::of(pair));

        for path in ["/livez", "/readyz"] {
            let get = get(path).send(&address).await?.expect(200)?;
            let head = Call::new("HEAD", path).send(&address).await?.expect(200)?;
            assert_eq!(get.header("cache-control"), Some("no-store"), "{path}");
            assert_eq!(comparable(&get), comparable(&head), "{path}");
            inside.check(&get.text)?;
            let put = Call::new("PUT", path).send(&address).await?.expect(405)?;
            assert_eq!(put.header("allow"), Some(READ), "{path}");
        }

        get("/parking-slots").send(&address).await?.expect(404)?;
        Ok(())
    })
}

#[test]
fn a_wrong_path_or_field_is_told_which_ones_exist() -> Result<()> {
    with_pair(async |pair| {
        let address = pair.command_service().address();
        let paths =
            ["/parking-slots,", "/parking-slots/batch", "/parking-slots/summary", "/receipts/", "/readyz"];

        for path in ["/Parking-Slots", "/parking-slots/", "/nowhere"] {
            let told = detail(&get(path).send(&address).await?.expect(404)?)?;
            for exists in paths {
                ensure!(told.contains(exists), "{path}: {told}");
            }
        }
        let told = detail(&get("/problems/none").send(&address).await?.expect(404)?)?;
        for (name, _) in TYPES {
            ensure!(told.contains(&format!("/problems/{name}")), "{name} is missing: {told}");
        }
        let told = detail(&get("/parking-slots/events").send(&address).await?.expect(400)?)?;
        for word in ["uuid must be a UUID", "/parking-slots/batch", "/parking-slots/summary"] {
            ensure!(told.contains(word), "{told}");
        }
        let unknown = create("{\"name\":\"A\",\"colour\":1}").send(&address).await?.expect(400)?;
        let told = unknown.body["errors"][0]["detail"].as_str().context("no detail")?;
        ensure!(told.contains("name and status"), "{told}");
        Ok(())
    })
}

fn detail(reply: &Reply) -> Result<String> {
    Ok(reply.body["detail"].as_str().context("no detail")?.to_owned())
}

#[test]
fn what_is_not_http_is_refused_as_a_problem() -> Result<()> {
    with_pair(async |pair| {
        let (address, inside) = (pair.command_service().address(), Inside::of(pair));
        let host = "Host: parking.test\r\n";
        let calls = [
            (get("/\u{e9}"), "a letter as it is"),
            (get("/parking slots"), "a blank within a path"),
            (get("/health").header("Bad Name", "x"), "a blank within a header's name"),
            (get("/health").header("X", "a\0b"), "a NUL within a header"),
            (get("/health").header("Content-Length", "x"), "a length that is no number"),
            (get("/health").header("Content-Length", "1").header("Content-Length", "2"), "two lengths"),
        ];

        let texts = [
            (format!("GET /health\r\n{host}\r\n"), "malformed-request", "no version"),
            (
                format!("GET /health HTTP/1.1\r\n{host}broken\r\n\r\n"),
                "malformed-request",
                "a header without a colon",
            ),
            (
                format!(
                    "POST {SLOTS} HTTP/1.1\r\n{host}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{{}}"
                ),
                "malformed-request",
                "two ways to tell the length",
            ),
            (
                format!("GET /health HTTP/1.1\r\n{host}X: {}\r\n\r\n", "a".repeat(140_000)),
                "head-too-large",
                "a long header",
            ),
            (
                format!("GET /health HTTP/1.1\r\n{}\r\n", "X: a\r\n".repeat(97)),
                "head-too-large",
                "many headers",
            ),
            (format!("GET /health HTTP/1.1\r\n{host}"), "request-timeout", "a head without an end"),
        ];

        let mut replies = Vec::new();
        for (call, reason) in calls {
            replies.push((call.send(&address).await?, "malformed-request", reason));
        }
        for (text, problem, reason) in texts {
            let reply = send_bytes(&address, text.as_bytes()).await.context(reason)?;
            replies.push((reply, problem, reason));
        }

        for (reply, problem, reason) in &replies {
            check_problem(reply, &inside).context(*reason)?;
            assert_eq!(reply.problem(), *problem, "{reason}");
            assert_eq!(reply.header("connection"), Some("close"), "{reason}");
            check_page(&address, reply).await?;
        }
        let lines = pair.command_service().log_lines()?;
        // At the start the service warns of messages that are not signed.
        let mut later = lines.iter().filter(|line| line["message"] != UNSIGNED_MESSAGES);
        let worse = later.find(|line| line["level"] == "ERROR" || line["level"] == "WARN");
        ensure!(worse.is_none(), "what a client does wrong is no fault of the service: {worse:?}");
        let id = replies[0].0.header("x-request-id").context("no id")?;
        ensure!(lines.iter().any(|line| line["span"]["id"] == id), "no line names the request {id}");
        get("/health").send(&address).await?.expect(200)?;
        Ok(())
    })
}
