//! What answers carry beside their body.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use system_tests::{Call, Reply, assert_level, with_pair};
use uuid::Uuid;

use super::{BATCH, SLOTS, batch, create, get, patch};

#[test]
fn every_answer_has_the_id_that_its_request_gave_or_a_new_one() -> Result<()> {
    with_pair(async |pair| {
        let address = pair.command_service().address();
        let (longest, too_long) = ("i".repeat(128), "i".repeat(129));
        let ids: [(&[u8], bool, &str); 11] = [
            (b"abc-123", true, "a word"),
            (b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", true, "every sign of ASCII that can be seen"),
            (b"i", true, "one character"),
            (longest.as_bytes(), true, "the longest"),
            (too_long.as_bytes(), false, "too long"),
            (b"", false, "empty"),
            (b"two words", false, "a blank within"),
            (b"a\tb", false, "a tab within"),
            ("\u{e9}".as_bytes(), false, "beyond ASCII"),
            (b"\xff", false, "not UTF-8"),
            (b"  trimmed  ", true, "blanks around belong to the line"),
        ];

        for (id, taken, reason) in ids {
            let calls =
                [get("/health"), get("/nowhere"), create("{"), create("{\"name\":\"A\"}"), get(SLOTS)];
            for call in calls {
                let reply = call.header("X-Request-Id", id).send(&address).await?;
                let echoed = reply.header("x-request-id").context("no id")?;
                if taken {
                    assert_eq!(echoed.as_bytes(), id.trim_ascii(), "{reason}");
                } else {
                    assert!(Uuid::parse_str(echoed).is_ok(), "{reason}: {echoed} is not a new one");
                }
                if !reply.status.is_success() {
                    assert_eq!(reply.body["instance"], echoed, "{reason}");
                }
            }
        }

        let (one, other) = (get("/health").send(&address).await?, get("/health").send(&address).await?);
        assert_ne!(one.header("x-request-id"), other.header("x-request-id"), "each request has its own");
        Ok(())
    })
}

#[test]
fn commands_and_reads_say_how_long_their_steps_took() -> Result<()> {
    with_pair(async |pair| {
        let address = pair.command_service().address();
        let slot = pair.client().created("Slot 1").await?.uuid;
        assert_level(pair).await?;
        let unknown = Uuid::now_v7();
        let one = format!("{SLOTS}/{slot}");
        let commands = [
            (create("{\"name\":\"A\"}"), 201),
            (batch("[{\"name\":\"A\"}]"), 201),
            (patch(slot, "{}"), 200),
            (patch(slot, "{}").header("If-Match", "\"9\""), 412),
            (patch(unknown, "{}"), 404),
            (Call::new("DELETE", format!("{SLOTS}/{unknown}")), 404),
        ];
        let reads = [
            (get(SLOTS), 200),
            (get("/parking-slots/summary"), 200),
            (get(one.as_str()), 200),
            (get(one).header("If-None-Match", "\"1\""), 304),
            (get(format!("{SLOTS}/{unknown}")), 404),
        ];

        for (call, status) in commands {
            let reply = call.send(&address).await?.expect(status)?;
            check_timing(&reply, ["queue", "commit"]).with_context(|| call.line())?;
        }
        for (call, status) in reads {
            let reply = call.send(&address).await?.expect(status)?;
            check_timing(&reply, ["wait", "query"]).with_context(|| call.line())?;
        }

        let removed = Call::new("DELETE", format!("{SLOTS}/{slot}")).send(&address).await?.expect(204)?;
        check_timing(&removed, ["queue", "commit"])
    })
}

/// Both steps in their order, in milliseconds, together no longer than the caller waited.
fn check_timing(reply: &Reply, steps: [&str; 2]) -> Result<()> {
    let timing = reply.header("server-timing").context("no Server-Timing")?;
    let mut sum = 0.0;
    for (metric, step) in timing.split(", ").zip(steps) {
        let millis = metric.strip_prefix(&format!("{step};dur=")).with_context(|| timing.to_owned())?;
        sum += millis.parse::<f64>().with_context(|| timing.to_owned())?;
    }
    ensure!(timing.split(", ").count() == steps.len(), "{timing}");
    let waited = reply.took.as_secs_f64() * 1_000.0;
    ensure!((0.0..=waited).contains(&sum), "{timing}, and the caller waited {waited} ms");
    Ok(())
}

#[test]
fn only_reads_of_the_replica_may_be_kept_and_not_without_asking_again() -> Result<()> {
    with_pair(async |pair| {
        let address = pair.command_service().address();
        let slot = pair.client().created("Slot 1").await?.uuid;
        assert_level(pair).await?;
        let one = format!("{SLOTS}/{slot}");
        let calls = [
            (get(SLOTS), 200, "no-cache"),
            (get("/parking-slots/summary"), 200, "no-cache"),
            (get(one.as_str()), 200, "no-cache"),
            (get(one.as_str()).header("If-None-Match", "*"), 304, "no-cache"),
            (create("{\"name\":\"A\"}"), 201, "no-store"),
            (batch("[{\"name\":\"A\"}]"), 201, "no-store"),
            (patch(slot, "{}"), 200, "no-store"),
            (create("{"), 400, "no-store"),
            (get("/nowhere"), 404, "no-store"),
            (get("/health"), 200, "no-store"),
            (get("/livez"), 200, "no-store"),
            (get("/readyz"), 200, "no-store"),
            (get("/problems/not-found"), 200, "no-store"),
            (Call::new("DELETE", one), 204, "no-store"),
        ];

        for (call, status, cache_control) in calls {
            let reply = call.send(&address).await?.expect(status)?;
            assert_eq!(reply.header("cache-control"), Some(cache_control), "{}", call.line());
        }
        Ok(())
    })
}

#[test]
fn what_was_made_says_where_it_is_and_in_which_version() -> Result<()> {
    with_pair(async |pair| {
        let (client, address) = (pair.client(), pair.command_service().address());

        let made =
            create("{\"name\":\"Slot 1\",\"status\":\"blocked\"}").send(&address).await?.expect(201)?;
        let many = batch("[{\"name\":\"A\"}]").send(&address).await?.expect(201)?;

        let location = made.header("location").context("no Location")?.to_owned();
        assert_eq!(made.header("etag"), Some("\"1\""));
        assert_eq!(made.header("content-type"), Some("application/json"));
        assert_eq!((many.header("location"), many.header("etag")), (None, None), "{BATCH} makes several");
        let slot = made.slot(201)?;
        assert_eq!(location, format!("{SLOTS}/{}", slot.uuid), "a path of this service");
        assert_eq!(slot.uuid.get_version_num(), 7);
        assert_level(pair).await?;
        assert_eq!(client.get_path(&location).await?.slot(200)?, slot, "the slot is there");

        let changed = client.change(slot.uuid, json!({ "status": "available" })).await?;
        assert_eq!(changed.header("etag"), Some("\"2\""));
        let removed = client.delete(slot.uuid).await?.expect(204)?;
        assert_eq!((removed.text.as_str(), removed.header("etag")), ("", None), "nothing is left");
        Ok(())
    })
}

#[test]
fn a_page_links_to_the_next_with_the_same_filter() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        for number in 0..5 {
            client.created(&format!("A & B \u{e9} % {number}")).await?;
        }
        client.created("Other").await?;
        assert_level(pair).await?;

        let mut target = "/parking-slots?limit=2&status=available&name=a%20%26%20b%20%C3%A9%20%25".to_owned();
        let mut names = Vec::new();
        loop {
            let page = client.get_path(&target).await?.expect(200)?;
            for item in page.body["items"].as_array().context("no items")? {
                names.push(item["name"].as_str().context("no name")?.to_owned());
            }
            let Some(cursor) = page.body["next_cursor"].as_str() else {
                assert_eq!(page.header("link"), None, "nothing follows the last page");
                break;
            };
            let link = page.header("link").context("no Link")?;
            let next = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
            target = next.with_context(|| link.to_owned())?.to_owned();
            ensure!(target.contains(&format!("cursor={cursor}")), "{target} is another place than {cursor}");
        }

        assert_eq!(names, (0..5).map(|number| format!("A & B \u{e9} % {number}")).collect::<Vec<_>>());
        Ok(())
    })
}
