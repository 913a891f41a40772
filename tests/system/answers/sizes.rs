//! How large a body may be, how many slots it may hold, how long it may take.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use system_tests::{Call, Pair, Reply, answered_within, with_pair};

use super::{
    BATCH, Case, SLOTS, batch, check_refusals, create, patch,
    problem::{Inside, check_problem},
    state,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// How long a body may take, and what the answer may take beyond that.
const BODY_DEADLINE: Duration = Duration::from_secs(5);
const GRACE: Duration = Duration::from_secs(1);

/// A body of so many bytes that is fine but for its size: JSON may have blanks behind it.
fn padded(text: &str, bytes: usize) -> String {
    format!("{text}{}", " ".repeat(bytes - text.len()))
}

#[test]
fn a_body_of_the_largest_size_is_taken_and_one_byte_more_is_not() -> Result<()> {
    with_pair(async |pair| {
        let address = pair.command_service().address();
        let slot = pair.client().created("Slot 1").await?.uuid;
        let one = |bytes| padded("{\"name\":\"A\"}", bytes);
        let many = |bytes| padded("[{\"name\":\"A\"}]", bytes);

        let mut taken = Vec::new();
        for call in [create(one(64 * KIB)), batch(many(4 * MIB))] {
            taken.push(call.clone().send(&address).await?.status);
            taken.push(call.chunked().send(&address).await?.status);
        }
        taken.push(patch(slot, one(64 * KIB)).send(&address).await?.status);

        assert_eq!(taken, [201, 201, 201, 201, 200]);
        let mut cases = Vec::new();
        for call in [create(one(64 * KIB + 1)), patch(slot, one(64 * KIB + 1)), batch(many(4 * MIB + 1))] {
            cases.push(Case::new("one byte more", call.clone(), "too-large"));
            cases.push(Case::new("one byte more, in chunks", call.clone().chunked(), "too-large"));
            let endless = call.chunked_without_end();
            cases.push(Case::new("it is not waited for the end", endless, "too-large"));
        }
        cases.push(Case::new("much more", create(one(4 * MIB)), "too-large"));
        cases.push(Case::new("much more, in chunks", create(one(4 * MIB)).chunked(), "too-large"));
        cases.push(Case::new("much more", batch(many(16 * MIB)), "too-large"));
        let promised = create("{").promising_more(5_000_000_000);
        cases.push(Case::new("the length alone says it", promised, "too-large"));
        check_refusals(pair, cases).await
    })
}

#[test]
fn a_batch_has_1_to_1000_items() -> Result<()> {
    with_pair(async |pair| {
        let address = pair.command_service().address();
        let items = |count| json!(vec![json!({ "name": "A" }); count]).to_string();

        for count in [1, 1000] {
            let made = batch(items(count)).send(&address).await?.expect(201)?;
            assert_eq!(made.body["items"].as_array().map(Vec::len), Some(count));
        }

        assert_eq!(state(pair).await?.0, 1001, "as many events as slots");
        let last_is_wrong = json!([vec![json!({ "name": "A" }); 999], vec![json!({ "name": "" })]].concat());
        let cases = vec![
            Case::new("none", batch("[]"), "invalid-value").at([""]),
            Case::new("one too many", batch(items(1001)), "invalid-value").at([""]),
            Case::new("very many", batch(format!("[{}0]", "0,".repeat(2_000_000))), "invalid-value").at([""]),
            Case::new("all or nothing", batch(last_is_wrong.to_string()), "invalid-value").at(["/999/name"]),
        ];
        check_refusals(pair, cases).await
    })
}

#[test]
fn a_body_that_comes_too_slowly_is_refused_in_time() -> Result<()> {
    with_pair(async |pair| {
        let before = state(pair).await?;
        let slot = pair.client().created("Slot 1").await?.uuid;
        let text = "{\"name\":\"A\"}";
        let stalled = || create(text).promising_more(10);
        let trickling =
            Call::new("POST", SLOTS).json(padded(text, 200)).trickling(Duration::from_millis(100));

        let (stalls, changes, batches, trickles) = tokio::try_join!(
            refused_in_time(pair, stalled()),
            refused_in_time(pair, patch(slot, text).promising_more(1)),
            refused_in_time(pair, Call::new("POST", BATCH).json("[").chunked_without_end()),
            refused_in_time(pair, trickling),
        )?;

        for (reply, what) in [
            (stalls, "a body that stalls"),
            (changes, "that of a change"),
            (batches, "that of a batch, in chunks"),
            (trickles, "one whose bytes come one by one, each in time"),
        ] {
            assert_eq!(reply.problem(), "request-timeout", "{what}");
            ensure!(reply.took >= BODY_DEADLINE, "{what} had only {:?}", reply.took);
        }
        let after = state(pair).await?;
        assert_eq!((after.0, after.1), (before.0 + 1, before.1 + 1), "nothing but the first create");
        Ok(())
    })
}

async fn refused_in_time(pair: &Pair, call: Call) -> Result<Reply> {
    let address = pair.command_service().address();
    let sent = answered_within(BODY_DEADLINE + GRACE, async || call.send(&address).await).await;
    let reply = sent.with_context(|| call.line())?;
    check_problem(&reply, &Inside::of(pair))?;
    Ok(reply)
}

#[test]
fn a_body_that_is_cut_off_makes_nothing() -> Result<()> {
    with_pair(async |pair| {
        let address = pair.command_service().address();
        let slot = pair.client().created("Slot 1").await?.uuid;
        let before = state(pair).await?;
        // What has come is JSON, and less than was promised.
        let complete = "{\"name\":\"Cut off\"}";
        let calls = [
            create(complete).promising_more(10),
            create(complete).chunked_without_end(),
            create("{\"name\":").promising_more(10),
            patch(slot, complete).promising_more(1),
            batch("[{\"name\":\"Cut off\"}]").promising_more(1),
        ];

        for call in calls {
            // Nobody may be there any more to read it, so an answer is not owed; but if there is one, it is true.
            if let Ok(reply) = call.send_and_shut(&address).await {
                check_problem(&reply, &Inside::of(pair))?;
                assert_eq!(reply.problem(), "malformed-json", "{}", call.line());
            }
        }

        assert_eq!(state(pair).await?, before, "half a body makes nothing");
        Ok(())
    })
}
