//! A server that stops answering at some point, like one whose processes are frozen: its host still accepts every
//! byte.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};

use super::{CONNECT_DEADLINE, ConnectError, DatabaseUrl, Fault, Session, SessionKind};

const DEADLINE: Duration = Duration::from_millis(600);

const KIND: SessionKind = SessionKind { step: "test", options: "", deadline: DEADLINE };

/// Time that a busy machine may add to a deadline.
const SLACK: Duration = Duration::from_secs(2);

/// Log-in accepted, session ready.
const READY: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";

/// Command complete, session ready.
const DONE: &[u8] = b"C\0\0\0\x0aBEGIN\0Z\0\0\0\x05I";

/// Sends each answer after its pause, starting when the client first sends; then stays silent.
async fn server_with(answers: &'static [(Duration, &'static [u8])]) -> DatabaseUrl {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        answer(socket, answers).await;
    });
    DatabaseUrl::parse(&format!("postgresql://somebody@127.0.0.1:{port}/something")).unwrap()
}

async fn answer(mut socket: TcpStream, answers: &[(Duration, &[u8])]) {
    let mut heard = [0; 1024];
    assert!(socket.read(&mut heard).await.unwrap() > 0, "the client says who it is");
    for (pause, answer) in answers {
        sleep(*pause).await;
        socket.write_all(answer).await.unwrap();
    }
    while socket.read(&mut heard).await.is_ok_and(|count| count > 0) {}
}

async fn silent_session() -> Session {
    server_with(&[(Duration::ZERO, READY)]).await.connect(KIND).await.unwrap()
}

/// Asserts that the call and its session ended at the deadline for silence.
async fn assert_ended_at_deadline(
    begun_at: Instant,
    session: &Session,
    result: Result<(), tokio_postgres::Error>,
) {
    let (took, error) = (begun_at.elapsed(), result.unwrap_err());
    assert!((DEADLINE..DEADLINE + SLACK).contains(&took), "it took {took:?}");
    assert_eq!(session.fault(&error), Fault::ConnectionLost, "{error:?}");
    assert!(session.is_closed());
    timeout(SLACK, session.lost()).await.unwrap();
}

#[tokio::test]
async fn connecting_to_a_silent_server_ends_at_its_deadline() {
    let url = server_with(&[]).await;
    let begun_at = Instant::now();

    let refused = url.connect(KIND).await;

    assert!(begun_at.elapsed() < CONNECT_DEADLINE + SLACK, "it took {:?}", begun_at.elapsed());
    // The client library has the same limit; either may be first.
    assert!(matches!(refused, Err(ConnectError::Deadline | ConnectError::Refused(_))), "{refused:?}");
}

#[tokio::test]
async fn every_call_on_a_silent_session_ends_at_its_deadline_and_closes_the_session() {
    let session = silent_session().await;
    let begun_at = Instant::now();
    let prepared = session.prepare("anything").await.map(|_| ());
    assert_ended_at_deadline(begun_at, &session, prepared).await;

    let session = silent_session().await;
    let begun_at = Instant::now();
    let queried = session.query("anything", &[]).await.map(|_| ());
    assert_ended_at_deadline(begun_at, &session, queried).await;

    let session = silent_session().await;
    let begun_at = Instant::now();
    let executed = session.batch_execute("anything").await;
    assert_ended_at_deadline(begun_at, &session, executed).await;

    let mut session = silent_session().await;
    let begun_at = Instant::now();
    let begun = session.transaction().await.map(|_| ());
    assert_ended_at_deadline(begun_at, &session, begun).await;
}

#[tokio::test]
async fn a_transaction_on_a_silent_session_ends_at_the_same_deadline() {
    let url = server_with(&[(Duration::ZERO, READY), (Duration::ZERO, DONE)]).await;
    let mut session = url.connect(KIND).await.unwrap();
    let mut transaction = session.transaction().await.unwrap();
    let begun_at = Instant::now();

    let savepoint = transaction.transaction().await.map(|_| ());
    let committed = transaction.commit().await;

    assert!(committed.is_err(), "on a lost connection nothing is committed");
    assert_ended_at_deadline(begun_at, &session, savepoint).await;
}

#[tokio::test]
async fn a_call_behind_others_has_its_time_from_the_last_answer() {
    const SLOW: Duration = Duration::from_millis(350);
    let url = server_with(&[(Duration::ZERO, READY), (SLOW, DONE), (SLOW, DONE)]).await;
    let session = url.connect(KIND).await.unwrap();
    let begun_at = Instant::now();

    let (first, second, third) = tokio::join!(
        session.batch_execute("anything"),
        session.batch_execute("anything"),
        session.batch_execute("anything"),
    );

    first.unwrap();
    second.unwrap();
    assert!(third.is_err(), "it was never answered");
    assert!(begun_at.elapsed() >= 2 * SLOW + DEADLINE - Duration::from_millis(50));
    assert!(session.is_closed());
}

#[tokio::test]
async fn a_client_that_is_lent_comes_back_at_its_deadline() {
    let mut session = silent_session().await;

    let done = session.lend(DEADLINE, async |client| client.batch_execute("anything").await).await;

    assert!(done.is_err(), "the work ended by itself: {done:?}");
    timeout(SLACK, session.lost()).await.unwrap();
    assert!(session.is_closed());
}
