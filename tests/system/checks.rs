//! The checks themselves: each must notice what it is there for, or it would be worth nothing.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use system_tests::{
    Pair, assert_level,
    level::Everything,
    load::{Asked, Entry, Fate, History, Load, MIXED},
    proxy::{Protocol, Proxy},
    random::seed,
    with_pair,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A small register with every kind of event: three slots created, one changed, one deleted.
async fn fill(pair: &Pair) -> Result<()> {
    let client = pair.client();
    let slots = crate::outages::create(&client, 3).await?;
    client.change(slots[0].uuid, json!({ "status": "blocked" })).await?.slot(200)?;
    client.delete(slots[1].uuid).await?.expect(204)?;
    Ok(())
}

#[test]
fn every_damage_to_either_side_is_noticed() -> Result<()> {
    let damages = [
        ("replica", "UPDATE parking_slots SET name = 'Edited' WHERE version = 2", "not the primary's copy"),
        (
            "replica",
            "UPDATE parking_slots SET updated_at = updated_at + interval '1 us'",
            "not the primary's copy",
        ),
        ("replica", "UPDATE parking_slots SET status = 'reserved'", "not the primary's copy"),
        ("replica", "DELETE FROM parking_slots WHERE version = 1", "not the primary's copy"),
        ("replica", "DELETE FROM parking_slot_tombstones", "the tombstones"),
        ("replica", "UPDATE parking_slot_tombstones SET version = version + 1", "the tombstones"),
        ("replica", "UPDATE parking_slot_summary SET slots = slots + 1", "the summary"),
        (
            "replica",
            "UPDATE replication_status SET applied = applied - '{[3,4)}'::int8multirange",
            "applied is",
        ),
        (
            "replica",
            "UPDATE replication_status SET applied = applied + '{[9,10)}'::int8multirange",
            "applied is",
        ),
        ("replica", "UPDATE replication_status SET as_of = as_of - interval '1 us'", "as_of is"),
        ("replica", "UPDATE replication_status SET epoch = gen_random_uuid()", "epoch"),
        ("replica", "INSERT INTO dead_letters (reason, body) VALUES ('', '')", "letters are dead"),
        ("primary", "UPDATE parking_slots SET position = position + 1", "not what the log makes of them"),
        (
            "primary",
            "UPDATE parking_slots SET created_at = created_at - interval '1 us'",
            "not what the log makes",
        ),
        ("primary", "DELETE FROM parking_slots WHERE version = 1", "not what the log makes of them"),
        ("primary", "UPDATE relay_cursor SET confirmed_position = confirmed_position - 1", "in the outbox"),
        ("log", "DELETE FROM parking_slot_events WHERE position = 2", "position 2 was expected"),
        ("log", "UPDATE parking_slot_events SET position = 9 WHERE position = 5", "position 5 was expected"),
        (
            "log",
            "UPDATE parking_slot_events SET committed_at = committed_at - interval '1 hour'
                 WHERE position = 5",
            "not after the one before it",
        ),
        (
            "log",
            "UPDATE parking_slot_events SET version = 3 WHERE position = 4",
            "version 3 follows version 1",
        ),
        ("log", "UPDATE parking_slot_events SET changed = 'name' WHERE position = 4", "what changed"),
        (
            "log",
            "UPDATE parking_slot_events SET created_at = created_at - interval '1 us'
                 WHERE position = 4",
            "was created at",
        ),
    ];
    with_pair(async |pair| {
        fill(pair).await?;
        assert_level(pair).await?;
        // The relay and the consumer must not heal the damage while it is looked at.
        for service in pair.services() {
            service.stop().await?;
        }

        for (side, damage, expected) in damages {
            let found = damaged(pair, side, damage).await?.check();

            let error = found.err().with_context(|| format!("not noticed: {damage}"))?;
            let message = format!("{error:#}");
            ensure!(message.contains(expected), "{damage}: expected {expected:?}, found {message:?}");
        }
        Everything::read(&pair.primary, &pair.replica).await?.check()
    })
}

/// What both databases hold after a damage, which is then undone.
async fn damaged(pair: &Pair, side: &str, damage: &str) -> Result<Everything> {
    let sound = Everything::read(&pair.primary, &pair.replica).await?;
    let database = if side == "replica" { &pair.replica } else { &pair.primary };
    let server = database.server.clone();
    let (kept, broken) = (database.name.clone(), format!("{}_damaged", database.name));
    // A copy is damaged and dropped: nothing has to be put back.
    database.disconnect().await?;
    let copy = broken.clone();
    system_tests::blocking(move || server.create_database_from(&kept, &copy)).await?;
    let copy = system_tests::database::Database::new(database.server.clone(), broken.clone());
    let trigger_off = if side == "log" { "ALTER TABLE parking_slot_events DISABLE TRIGGER ALL;" } else { "" };
    copy.sql().await?.batch_execute(&format!("{trigger_off} {damage}")).await?;
    let (primary, replica) = if side == "replica" { (&pair.primary, &copy) } else { (&copy, &pair.replica) };
    let everything = Everything::read(primary, replica).await?;
    ensure!(everything != sound, "this damages nothing: {damage}");
    copy.disconnect().await?;
    let server = copy.server.clone();
    system_tests::blocking(move || server.drop_database(&broken)).await?;
    Ok(everything)
}

#[test]
fn a_history_that_differs_from_the_log_is_noticed() -> Result<()> {
    with_pair(async |pair| {
        let load = Load::start(&[pair.client()], 4, MIXED, seed());
        load.progress(100).await?;
        let history = load.finish().await?;
        let log = assert_level(pair).await?.events;
        history.check(&log)?;

        let mut lost = log.clone();
        lost.remove(log.len() / 2);
        let mut doubled = log.clone();
        doubled.push(log[0].clone());
        let mut unasked = log.clone();
        unasked[0].name = Some("nobody asked for this".to_owned());
        let mut other = log.clone();
        other[0].status = Some("nonsense".to_owned());
        let mut refused = history.clone();
        let done = refused.entries.iter_mut().find(|entry| matches!(entry.fate, Fate::Done(_)));
        done.context("nothing was done")?.fate = Fate::Refused { status: 503 };
        let mut never_committed = history.clone();
        let name = "acknowledged and lost".to_owned();
        let asked = Asked::Create { name, status: "available" };
        never_committed.entries.push(Entry { asked, fate: Fate::Done(None) });

        let cases: [(&History, &[_], &str); 6] = [
            (&history, &lost, "an acknowledged command's event is not there"),
            (&history, &doubled, "a command made two events"),
            (&history, &unasked, "an event that nobody asked for"),
            (&history, &other, "an answer that differs from its event"),
            (&refused, &log, "a refused command made an event"),
            (&never_committed, &log, "an acknowledged command is not in the log"),
        ];
        for (history, log, reason) in cases {
            ensure!(history.check(log).is_err(), "not noticed: {reason}");
        }
        Ok(())
    })
}

#[test]
fn a_service_that_ends_by_itself_fails_its_test() {
    let result = with_pair(async |pair| {
        let pid = pair.event_consumer().pid().context("it does not run")?;
        let process = stack::process::Process::of(i32::try_from(pid)?).context("no process")?;
        process.signal(stack::process::Signal::KILL)?;
        std::future::pending().await
    });

    let error = format!("{:#}", result.expect_err("the end was not noticed"));
    assert!(error.contains("event-consumer 1 ended by itself"), "{error}");
}

#[test]
fn a_proxy_cuts_holds_and_restores() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        // An echo, in messages of PostgreSQL's form: "Q", length, text, and first a message without a type.
        let server = TcpListener::bind("127.0.0.1:0").await?;
        let proxy = Proxy::start(Protocol::Postgres, server.local_addr()?.port())?;
        let address = ("127.0.0.1", proxy.port());
        let greeting = [0, 0, 0, 5, 1];
        let accept = async || -> Result<TcpStream> { Ok(server.accept().await?.0) };

        let mut client = TcpStream::connect(address).await?;
        let mut end = accept().await?;
        client.write_all(&greeting).await?;
        let mut arrived = [0; 5];
        end.read_exact(&mut arrived).await?;
        assert_eq!(arrived, greeting, "it passes");

        proxy.blackhole();
        client.write_all(b"Q\0\0\0\x05x").await?;
        let mut held = [0; 6];
        let silent =
            tokio::time::timeout(std::time::Duration::from_millis(200), end.read_exact(&mut held)).await;
        assert!(silent.is_err(), "nothing passes a black hole");
        proxy.restore()?;
        end.read_exact(&mut held).await?;
        assert_eq!(&held, b"Q\0\0\0\x05x", "what was held passes later");

        proxy.cut().await;
        let reset = client.read(&mut [0; 1]).await.expect_err("a cut is a reset");
        assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset);
        let refused = TcpStream::connect(address).await.expect_err("a cut link refuses");
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);

        proxy.restore()?;
        let _client = TcpStream::connect(address).await?;
        accept().await?;
        assert_eq!(proxy.connections(), 2, "accepted connections are counted");
        Ok(())
    })
}
