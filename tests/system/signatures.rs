//! Messages are signed: what somebody else sends over the broker changes nothing.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use lapin::{BasicProperties, Channel};
use shared::{
    broker::signing::SigningKeys,
    messages::{event::LoggedEvent, watermark::Watermark},
    position::Position,
    slot::{Slot, SlotEvent, SlotName, SlotStatus, Version},
};
use system_tests::{
    Pair, RECOVERY, Shape, assert_level,
    broker::{Message, publish},
    eventually,
    level::Everything,
    program::Run,
    service::Service,
    with_pair,
};
use uuid::Uuid;

use crate::dead_letters::by_hand::{letters_are, listed, run};

const KEY: &str = "PARKING__BROKER__SIGNING_KEY";
const OTHER_KEY: &str = "PARKING__BROKER__OTHER_SIGNING_KEY";
const FIRST: &str = "the-first-key-is-32-bytes-long..";
const SECOND: &str = "the-second-key-is-32-bytes-long.";

/// Both services have the first key.
fn signed() -> Shape {
    Shape { settings: vec![(KEY, FIRST)], ..Shape::default() }
}

fn keys(own: &str) -> Result<SigningKeys> {
    Ok(SigningKeys::new(Some(own.parse()?), None)?)
}

/// The create of a slot that nobody asked for, as the next event of the log.
async fn forged_event(pair: &Pair, name: &str) -> Result<Vec<u8>> {
    let status = Everything::read(&pair.primary, &pair.replica).await?.status;
    let now = Timestamp::now().round(jiff::Unit::Microsecond)?;
    let slot = Slot {
        uuid: Uuid::now_v7(),
        name: SlotName::parse(name)?,
        status: SlotStatus::Available,
        version: Version::new(1).context("not a version")?,
    };
    let event = LoggedEvent {
        position: Position::new(status.applied_through + 1).context("not a position")?,
        id: Uuid::now_v7(),
        epoch: status.epoch.context("the replica has no epoch")?,
        committed_at: now,
        created_at: now,
        traceparent: None,
        event: SlotEvent::Created(slot),
    };
    let mut body = b"[".to_vec();
    event.encode_into(&mut body);
    body.push(b']');
    Ok(body)
}

fn properties(content_type: &str, kind: &str) -> BasicProperties {
    BasicProperties::default().with_content_type(content_type.into()).with_type(kind.into())
}

fn of_events() -> BasicProperties {
    properties("application/cloudevents-batch+json", "parking.create")
}

async fn publish_create(channel: &Channel, properties: BasicProperties, body: Vec<u8>) -> Result<()> {
    publish(channel, "parking.events", "parking.create", &Message { body, properties }).await
}

async fn discard_all(pair: &Pair) -> Result<()> {
    for letter in listed(pair).await? {
        run(pair, &["discard", &letter["id"].to_string()]).await?.expect(0)?;
    }
    Ok(())
}

fn has_logged(service: &Service, kind: &str) -> Result<bool> {
    let lines = service.log_lines()?;
    Ok(lines.iter().any(|line| line["message"] == "message dropped" && line["kind"] == kind))
}

#[test]
fn events_that_are_not_rightly_signed_are_dead_lettered_by_their_fingerprint_and_change_nothing() -> Result<()>
{
    signed().run(async |pair| {
        let client = pair.client();
        client.created("Before").await?;
        assert_level(pair).await?;
        let (_connection, channel) = pair.broker.channel().await?;

        publish_create(&channel, of_events(), forged_event(pair, "unsigned").await?).await?;
        let body = forged_event(pair, "signed by another").await?;
        publish_create(&channel, keys(SECOND)?.sign(of_events(), "parking.create", &body), body).await?;
        let body = forged_event(pair, "signed for another place").await?;
        publish_create(&channel, keys(FIRST)?.sign(of_events(), "parking.update", &body), body).await?;
        letters_are(pair, 3).await?;

        for letter in listed(pair).await? {
            ensure!(letter["position"].is_null() && letter["body_cut"] == true, "{letter}");
            ensure!(letter["reason"].as_str().is_some_and(|reason| reason.contains("signed")), "{letter}");
            let id = letter["id"].to_string();
            let retried = run(pair, &["retry", &id]).await?;
            ensure!(retried.status.code() == Some(1), "nobody vouches for it: {retried:?}");
            let shown = run(pair, &["show", &id, "--json"]).await?.expect(0)?.json()?;
            ensure!(shown["body"] == "", "what a stranger chose is not kept: {shown}");
            run(pair, &["discard", &id]).await?.expect(0)?;
        }
        // The forged events claimed the position that this one gets.
        let after = client.created("After").await?;
        let everything = assert_level(pair).await?;
        assert_eq!(everything.replica.len(), 2, "nothing was made up");
        assert_eq!(client.get(after.uuid).await?.slot(200)?, after);
        pair.ready().await
    })
}

#[test]
fn a_copy_of_a_signed_message_with_other_properties_settles_nothing_else() -> Result<()> {
    signed().run(async |pair| {
        let client = pair.client();
        client.created("Before").await?;
        assert_level(pair).await?;
        let (_connection, channel) = pair.broker.channel().await?;
        let queue = "parking.replica.main";
        // As the relay sends position 2 again, but unreadable, and under the name of position 3.
        let body = forged_event(pair, "of position 2").await?;
        let properties = properties("text/plain", "parking.create").with_message_id("3-3/1".into());
        let properties = keys(FIRST)?.sign(properties, queue, &body);

        publish(&channel, "", queue, &Message { body, properties }).await?;

        letters_are(pair, 1).await?;
        ensure!(listed(pair).await?[0]["position"].is_null(), "position 3 has no event yet");
        discard_all(pair).await?;
        client.created("Position 2").await?;
        client.created("Position 3").await?;
        assert_level(pair).await.map(|_| ())
    })
}

#[test]
fn a_rightly_signed_event_is_applied_whoever_sends_it() -> Result<()> {
    signed().run(async |pair| {
        pair.client().created("Before").await?;
        assert_level(pair).await?;
        let (_connection, channel) = pair.broker.channel().await?;
        let body = forged_event(pair, "by a holder of the key").await?;

        publish_create(&channel, keys(FIRST)?.sign(of_events(), "parking.create", &body), body).await?;

        // Shows that the other tests forge what would be applied.
        eventually(RECOVERY, "it is applied", async || {
            let slots = pair.client().list_all().await?.len();
            ensure!(slots == 2, "{slots} slots");
            Ok(())
        })
        .await
    })
}

#[test]
fn watermarks_requests_and_repairs_that_are_not_signed_have_no_effect() -> Result<()> {
    signed().run(async |pair| {
        pair.client().created("Before").await?;
        let before = assert_level(pair).await?;
        let (_connection, channel) = pair.broker.channel().await?;
        let epoch = before.status.epoch.context("the replica has no epoch")?;
        let year_2099: Timestamp = "2099-01-01T00:00:00Z".parse()?;
        let watermark = Watermark { epoch, position: 1, as_of: year_2099 }.encode();
        let request = br#"{"replica":"main","from":1,"to":1}"#.to_vec();
        let uuid = before.replica.first().context("no slot")?.uuid;
        let repair = format!(
            r#"{{"epoch":"{epoch}","slots":[{{"uuid":"{uuid}","found":{{"row":null,"tombstone":null}},"target":"absent"}}]}}"#
        );

        let parcels = [
            ("parking.events", "parking.watermark", properties("application/json", "parking.watermark"), watermark),
            ("", "parking.replay", properties("application/json", "parking.replay"), request),
            ("", "parking.replica.main", properties("application/json", "parking.repair"), repair.into_bytes()),
        ];
        for (exchange, key, properties, body) in parcels {
            publish(&channel, exchange, key, &Message { body, properties }).await?;
        }

        letters_are(pair, 1).await?;
        eventually(RECOVERY, "both services tell what they drop", async || {
            ensure!(has_logged(pair.event_consumer(), "watermark")?, "the consumer does not");
            ensure!(has_logged(pair.command_service(), "request for a replay")?, "the relay does not");
            Ok(())
        })
        .await?;
        discard_all(pair).await?;
        let after = assert_level(pair).await?;
        ensure!(after.status.as_of < Some(year_2099), "a forged watermark was believed");
        Ok(())
    })
}

#[test]
fn keys_are_changed_one_service_at_a_time_without_a_dead_letter() -> Result<()> {
    signed().run(async |pair| {
        let client = pair.client();
        let steps = [(FIRST, Some(SECOND)), (SECOND, Some(FIRST)), (SECOND, None)];
        for (own, other) in steps {
            for service in pair.services() {
                client.created("While keys change").await?;
                service.stop().await?;
                service.set(KEY, Some(own));
                service.set(OTHER_KEY, other);
                service.start().await?;
                pair.ready().await?;
                client.created("With other keys").await?;
                assert_level(pair).await?;
            }
        }
        letters_are(pair, 0).await
    })
}

#[test]
fn events_that_were_sent_before_there_was_a_key_are_asked_for_again() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        client.created("Before").await?;
        assert_level(pair).await?;
        pair.event_consumer().stop().await?;
        client.created("Waits in the queue, unsigned").await?;

        // First the service that signs, then the one that demands it.
        for service in pair.services() {
            service.set(KEY, Some(FIRST));
        }
        pair.command_service().stop().await?;
        pair.command_service().start().await?;
        pair.event_consumer().start().await?;

        letters_are(pair, 1).await?;
        discard_all(pair).await?;
        let everything = assert_level(pair).await?;
        assert_eq!(everything.replica.len(), 2, "nothing is lost");
        Ok(())
    })
}

#[test]
fn both_services_say_while_they_run_without_a_key_that_the_broker_is_trusted() -> Result<()> {
    with_pair(async |pair| {
        for (service, key) in pair.services().flat_map(|service| [(service, None), (service, Some(FIRST))]) {
            service.stop().await?;
            service.set(KEY, key);
            service.start().await?;

            let body = service.client().readyz().await?.body;
            let warnings = body["warnings"].as_array().context("no warnings")?;
            let is_told = |text: &str| text.contains("messages are not signed");
            let told = warnings.iter().filter_map(|text| text.as_str()).any(is_told);
            let logged =
                service.log_lines()?.iter().any(|line| line["message"].as_str().is_some_and(is_told));
            assert_eq!((told, logged), (key.is_none(), key.is_none()), "{}: {body}", service.name());
        }
        Ok(())
    })
}

#[test]
fn a_second_key_without_a_first_stops_the_start() -> Result<()> {
    with_pair(async |pair| {
        for run in [Run::command_service(pair, &["serve"])?, Run::event_consumer(pair, &["run"])?] {
            let ended = run.with(OTHER_KEY, Some(SECOND)).end().await?.expect(2)?;

            ensure!(ended.errors.contains(OTHER_KEY) && !ended.errors.contains(SECOND), "{}", ended.errors);
        }
        Ok(())
    })
}
