//! `If-Match` and `If-None-Match`.

use anyhow::{Result, ensure};
use serde_json::json;
use system_tests::{Call, Reply, assert_level, service::Address, with_pair};
use uuid::Uuid;

use super::{
    Case, SLOTS, batch, check_refusals, create, get, patch,
    problem::{Inside, check_problem},
    state,
};

const UNKNOWN_SLOT: Uuid = Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0001);

/// A call with these lines of one header.
fn with_lines(call: Call, name: &str, lines: &[&str]) -> Call {
    lines.iter().fold(call, |call, line| call.header(name, *line))
}

/// Lines of `If-Match` and whether a slot of version 2 matches them.
const LINES: [(&[&str], bool, &str); 21] = [
    (&["*"], true, "anything that exists"),
    (&[" * "], true, "blanks around"),
    (&["\"2\""], true, "its tag"),
    (&["\"1\", \"2\", \"3\""], true, "one of a list"),
    (&["\"1\",\"2\""], true, "a list without blanks"),
    (&[",, \"2\" ,"], true, "a list may have empty elements"),
    (&["\"1\"", "\"2\""], true, "a list on several lines"),
    (&["\"x,y\", \"2\""], true, "a comma within a tag"),
    (&["W/\"1\", \"2\""], true, "a weak tag beside it"),
    (&["\"1\""], false, "an old tag"),
    (&["\"3\""], false, "a tag to come"),
    (&["\"1\"", "\"3\""], false, "none of several lines"),
    (&["W/\"2\""], false, "a weak tag matches never"),
    (&["\"02\""], false, "a tag is compared as it is spelt"),
    (&["\"+2\""], false, "a tag is no number"),
    (&["\"\""], false, "an empty tag"),
    (&["\"*\""], false, "a star in quotes is a tag"),
    (&["\"99999999999999999999\""], false, "beyond any version"),
    (&["\"2\u{e9}\""], false, "a tag of other letters"),
    (&["\"-2\""], false, "below any version"),
    (&["\"0\""], false, "no version"),
];

/// What is no `If-Match` at all.
const MALFORMED: [(&[&str], &str); 12] = [
    (&[""], "empty"),
    (&[","], "a list of nothing"),
    (&["2"], "without quotes"),
    (&["\"2"], "a quote missing"),
    (&["'2'"], "other quotes"),
    (&["\"2\" \"3\""], "a comma missing"),
    (&["w/\"2\""], "the mark of weak tags is a capital"),
    (&["*, \"2\""], "a star in a list"),
    (&["*", "*"], "two stars"),
    (&["\"2\"", "x"], "one of two lines"),
    (&["\" 2\""], "a blank within a tag"),
    (&["\"2\t\""], "a control character within a tag"),
];

#[test]
fn a_command_is_carried_out_only_if_a_tag_matches() -> Result<()> {
    with_pair(async |pair| {
        let (address, inside) = (pair.command_service().address(), Inside::of(pair));

        for (lines, matches, reason) in LINES {
            let slot = at_version_2(&address).await?;
            let before = state(pair).await?;
            let change = patch(slot, "{\"status\":\"blocked\"}");
            let changed = with_lines(change, "If-Match", lines).send(&address).await?;
            if matches {
                ensure!(changed.slot(200)?.version == 3, "{reason}: it is changed");
            } else {
                check_mismatch(&changed, &inside).map_err(|error| error.context(reason))?;
                ensure!(state(pair).await? == before, "{reason}: nothing happened");
            }
            let slot = if matches { at_version_2(&address).await? } else { slot };
            let removal = Call::new("DELETE", format!("{SLOTS}/{slot}"));
            let removed = with_lines(removal, "If-Match", lines).send(&address).await?;
            if matches {
                ensure!(removed.status == 204, "{reason}: it is removed: {}", removed.text);
            } else {
                check_mismatch(&removed, &inside).map_err(|error| error.context(reason))?;
                ensure!(state(pair).await? == before, "{reason}: nothing happened");
            }
        }
        Ok(())
    })
}

async fn at_version_2(address: &Address) -> Result<Uuid> {
    let slot = create("{\"name\":\"Slot 1\"}").send(address).await?.slot(201)?;
    let slot = patch(slot.uuid, "{\"name\":\"Slot 2\"}").send(address).await?.slot(200)?;
    ensure!(slot.version == 2, "it is at version {}", slot.version);
    Ok(slot.uuid)
}

/// The answer says at which version the slot is.
fn check_mismatch(reply: &Reply, inside: &Inside) -> Result<()> {
    check_problem(reply, inside)?;
    ensure!(reply.problem() == "version-mismatch", "it is {}", reply.problem());
    ensure!(reply.body["version"] == 2, "the current version is 2: {}", reply.text);
    ensure!(reply.header("etag") == Some("\"2\""), "its tag goes with it");
    Ok(())
}

#[test]
fn preconditions_that_are_none_are_refused() -> Result<()> {
    with_pair(async |pair| {
        let slot = pair.client().created("Slot 1").await?.uuid;
        assert_level(pair).await?;

        let mut cases = Vec::new();
        for (lines, reason) in MALFORMED {
            let removal = Call::new("DELETE", format!("{SLOTS}/{slot}"));
            let read = get(format!("{SLOTS}/{slot}"));
            for (call, name) in
                [(patch(slot, "{}"), "If-Match"), (removal, "If-Match"), (read, "If-None-Match")]
            {
                cases.push(Case::new(reason, with_lines(call, name, lines), "invalid-parameter"));
            }
        }
        for tags in ["\"1\"", "*", ""] {
            for call in [create("{\"name\":\"A\"}"), batch("[{\"name\":\"A\"}]")] {
                let reason = "a create has no version to compare";
                cases.push(Case::new(reason, call.header("If-Match", tags), "invalid-parameter"));
            }
        }

        check_refusals(pair, cases).await
    })
}

#[test]
fn whether_a_slot_exists_comes_first_then_its_version_then_whether_anything_changes() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let (slot, gone) = (client.created("Slot 1").await?.uuid, client.created("Gone").await?.uuid);
        client.delete(gone).await?.expect(204)?;
        let same = json!({ "name": "Slot 1" }).to_string();

        let mut cases = Vec::new();
        for uuid in [UNKNOWN_SLOT, gone] {
            for tag in ["*", "\"1\"", "\"7\"", "W/\"1\""] {
                let change = patch(uuid, "{}").header("If-Match", tag);
                cases.push(Case::new("no slot: 404 before 412", change, "not-found"));
                let removal = Call::new("DELETE", format!("{SLOTS}/{uuid}")).header("If-Match", tag);
                cases.push(Case::new("no slot: 404 before 412", removal, "not-found"));
            }
            cases.push(Case::new("no slot", patch(uuid, "{\"name\":\"A\"}"), "not-found"));
        }
        for body in ["{}", &same] {
            let change = patch(slot, body).header("If-Match", "\"7\"");
            cases.push(Case::new("412 before the rule that nothing changes", change, "version-mismatch"));
        }
        let change = patch(slot, "{").header("If-Match", "\"7\"");
        cases.push(Case::new("a body that is not understood asks nothing", change, "malformed-json"));
        check_refusals(pair, cases).await?;

        for body in ["{}", &same] {
            for tag in ["*", "\"1\""] {
                let call = patch(slot, body).header("If-Match", tag);
                let unchanged = call.send(&pair.command_service().address()).await?;
                assert_eq!(unchanged.header("etag"), Some("\"1\""));
                assert_eq!(unchanged.slot(200)?.version, 1, "nothing to change");
            }
        }
        assert_eq!(state(pair).await?.0, 3, "two creates and a delete");
        Ok(())
    })
}

#[test]
fn a_read_of_what_the_caller_has_already_is_a_304() -> Result<()> {
    with_pair(async |pair| {
        let address = pair.command_service().address();
        let slot = at_version_2(&address).await?;
        assert_level(pair).await?;
        // Compared weakly, so what If-Match refuses may match here.
        let weakly: [&[&str]; 3] = [&["W/\"2\""], &["\"1\", W/\"2\""], &["W/\"1\"", "\"2\""]];
        let lines =
            LINES.iter().filter(|(lines, ..)| *lines != ["W/\"2\""]).map(|(lines, same, _)| (*lines, *same));

        for (lines, same) in lines.chain(weakly.map(|lines| (lines, true))) {
            for method in ["GET", "HEAD"] {
                let call = Call::new(method, format!("{SLOTS}/{slot}"));
                let reply = with_lines(call, "If-None-Match", lines).send(&address).await?;
                let reply = reply.expect(if same { 304 } else { 200 })?;
                assert_eq!(reply.header("etag"), Some("\"2\""), "{method} {lines:?}");
                assert_eq!(reply.header("cache-control"), Some("no-cache"), "{method} {lines:?}");
                let has_body = !reply.text.is_empty();
                assert_eq!(has_body, !same && method == "GET", "{method} {lines:?}");
            }
        }

        let absent = get(format!("{SLOTS}/{UNKNOWN_SLOT}")).header("If-None-Match", "*");
        assert_eq!(
            absent.send(&address).await?.expect(404)?.problem(),
            "not-found",
            "there is nothing to have"
        );
        Ok(())
    })
}
