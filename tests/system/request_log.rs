//! Logs that can be followed: one line for each answer, and from the id of a failed request to the lines that say why.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use system_tests::{Pair, RECOVERY, Reply, Shape, assert_level, eventually, with_pair};

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";

/// The lines of the log of command-service whose request has this id, once the answer is among them.
async fn lines_of(pair: &Pair, id: &str) -> Result<Vec<Value>> {
    eventually(RECOVERY, "the answer is logged", async || {
        let lines = pair.command_service().log_lines()?;
        let own: Vec<Value> = lines.into_iter().filter(|line| line["span"]["id"] == id).collect();
        ensure!(own.iter().any(|line| line["message"] == "answered"), "it is not: {own:?}");
        Ok(own)
    })
    .await
}

fn id_of(reply: &Reply) -> Result<&str> {
    reply.header("x-request-id").context("no id")
}

/// Checks that the id of a failed request, which its problem names too, leads to a line that says why.
async fn assert_says_why(pair: &Pair, reply: &Reply, why: &str) -> Result<()> {
    let id = id_of(reply)?;
    assert_eq!(reply.body["instance"], id);
    let lines = lines_of(pair, id).await?;
    let causes: Vec<&Value> = lines.iter().filter(|line| line["message"] != "answered").collect();
    ensure!(
        causes.iter().any(|line| line.to_string().contains(why)),
        "no line of {id} says {why:?}: {lines:#?}"
    );
    let answered: Vec<&Value> = lines.iter().filter(|line| line["message"] == "answered").collect();
    ensure!(answered.len() == 1, "one line for each answer: {answered:?}");
    assert_eq!(answered[0]["status"], reply.status.as_u16());
    assert_eq!(answered[0]["problem"], reply.problem());
    Ok(())
}

#[test]
fn the_id_of_a_500_leads_to_the_line_that_says_what_the_primary_refused() -> Result<()> {
    with_pair(async |pair| {
        pair.primary.refuse_culprits("parking_slots", "P0001").await?;

        let reply = pair.client().create("culprit").await?.expect(500)?;

        assert_says_why(pair, &reply, "ERROR: refused").await
    })
}

#[test]
fn the_id_of_a_503_leads_to_the_line_that_says_what_is_down() -> Result<()> {
    with_pair(async |pair| {
        let slot = pair.client().created("Slot 1").await?.uuid;
        assert_level(pair).await?;
        pair.links.command_primary.cut().await;
        pair.links.command_replica.cut().await;

        let write = eventually(RECOVERY, "a command is refused", async || {
            pair.client().create("Slot 2").await?.expect(503)
        })
        .await?;
        let read =
            eventually(RECOVERY, "a read is refused", async || pair.client().get(slot).await?.expect(503))
                .await?;

        assert_says_why(pair, &write, "Connection refused").await?;
        assert_says_why(pair, &read, "the replica is down").await
    })
}

#[test]
fn each_answer_is_one_line_with_its_route_its_status_and_its_trace() -> Result<()> {
    let shape = Shape { settings: vec![("PARKING__LOG__LEVEL", "debug")], ..Shape::default() };
    shape.run(async |pair| {
        let traceparent = format!("00-{TRACE_ID}-b7ad6b7169203331-01");
        let client = pair.client();
        let headers = [("traceparent", traceparent.as_str()), ("x-request-id", "of-my-own")];
        let created = client.create_with("Slot 1", &headers).await?;
        let uuid = created.slot(201)?.uuid;
        assert_level(pair).await?;
        let read = client.get(uuid).await?.expect(200)?;
        let lost = client.get_path("/nowhere").await?.expect(404)?;

        let line = async |id: &str| -> Result<Value> {
            let lines = lines_of(pair, id).await?;
            lines.into_iter().find(|line| line["message"] == "answered").context("no answer")
        };
        let line_of_create = line("of-my-own").await?;
        assert_eq!(
            (&line_of_create["method"], &line_of_create["route"], &line_of_create["status"]),
            (&json!("POST"), &json!("/parking-slots"), &json!(201))
        );
        assert_eq!(line_of_create["span"]["trace_id"], TRACE_ID);
        ensure!(line_of_create["duration_ms"].as_f64().is_some_and(|took| took > 0.0), "{line_of_create}");
        let line_of_read = line(id_of(&read)?).await?;
        assert_eq!(
            (&line_of_read["route"], &line_of_read["freshness"]),
            (&json!("/parking-slots/{uuid}"), &json!("eventual"))
        );
        let line_of_lost = line(id_of(&lost)?).await?;
        assert_eq!(
            (&line_of_lost["route"], &line_of_lost["problem"]),
            (&json!("none"), &json!("not-found")),
            "the path is what a caller made up"
        );
        for (service, message) in
            [(pair.command_service(), "events published"), (pair.event_consumer(), "batch applied")]
        {
            let traced = |line: &Value| line["message"] == message && line["traces"] == TRACE_ID;
            ensure!(service.log_lines()?.iter().any(traced), "no line {message:?} names the trace");
        }
        Ok(())
    })
}
