//! Causes in words, for log lines and for the last line of a failed command.

use std::{error::Error, iter::successors};

use tokio::time::error::Elapsed;
use tokio_postgres::error::DbError;

use crate::broker::said_by_broker;

/// The innermost error of a chain, in one line: the words of the server, the broker or the operating system. They may
/// name a user, a database or a host, so they never go into an HTTP answer. Neither server nor library puts a password
/// or a URL into them.
#[must_use]
pub fn cause(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    if innermost.is::<Elapsed>() {
        return "no answer in time".to_owned();
    }
    // A PostgreSQL error prints further lines.
    let by_server = innermost.downcast_ref::<DbError>().map(DbError::message);
    let said = by_server.or_else(|| said_by_broker(innermost)).map(str::to_owned);
    in_one_line(&said.unwrap_or_else(|| innermost.to_string()))
}

/// Every error of a chain, from the outermost to the innermost, in one line. For logs: their JSON form shows only the
/// outermost.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let errors = successors(Some(error), |error| -> Option<&(dyn Error + 'static)> { (*error).source() });
    let mut said: Vec<String> = errors.map(|error| in_one_line(&error.to_string())).collect();
    // A transparent error repeats its source.
    said.dedup();
    said.join(": ")
}

fn in_one_line(text: &str) -> String {
    let words = text.split(|letter: char| letter.is_whitespace() || letter.is_control());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::{io, time::Duration};

    use super::*;
    use crate::{broker::BrokerError, postgres::ConnectError};

    #[test]
    fn the_innermost_error_is_the_cause() {
        let refused = io::Error::from_raw_os_error(111);
        let cases: [(Box<dyn Error>, &str); 3] = [
            (Box::new(BrokerError::Amqp(refused.into())), "Connection refused (os error 111)"),
            (Box::new(ConnectError::Deadline), "the database did not answer in time"),
            (Box::new(io::Error::other("one\n\ttwo\u{1b}[2Jthree")), "one two [2Jthree"),
        ];
        for (error, expected) in cases {
            assert_eq!(cause(&*error), expected, "{error:?}");
        }
    }

    #[test]
    fn a_chain_names_each_error_once() {
        let refused = io::Error::from_raw_os_error(111);
        let error = Outer(Transparent(refused));

        assert_eq!(chain(&error), "the primary cannot write now: Connection refused (os error 111)");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("the primary cannot write now")]
    struct Outer(#[source] Transparent);

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Transparent(#[source] io::Error);

    #[tokio::test]
    async fn a_deadline_is_said_in_words() {
        let late = tokio::time::timeout(Duration::ZERO, std::future::pending::<()>()).await;

        assert_eq!(cause(&late.expect_err("it never ends")), "no answer in time");
    }
}
