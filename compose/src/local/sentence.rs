//! The sentences with which `status` ends: one for each replica.

use super::progress::{Applied, Progress, Side, Written};

impl Progress {
    /// How far the replica is, what waits where, and how many dead letters there are.
    pub(crate) fn sentence(&self) -> String {
        format!("{}; {}; {}", self.position(), self.waiting(), self.dead_letters())
    }

    fn position(&self) -> String {
        let name = &self.replica;
        match (&self.applied, &self.written) {
            (Side::Down, _) => format!("replica {name}: down"),
            (Side::NotMigrated, _) => format!("replica {name}: not migrated"),
            (Side::Here(applied), Side::Here(written)) => format!(
                "replica {name}: {} of {}, {} ms behind",
                grouped(applied.applied_through),
                grouped(written.last_position),
                grouped(written.behind_ms)
            ),
            (Side::Here(applied), _) => {
                format!("replica {name}: {} applied", grouped(applied.applied_through))
            }
        }
    }

    fn waiting(&self) -> String {
        let relay = match &self.written {
            Side::Down => Some("primary: down".to_owned()),
            Side::NotMigrated => Some("primary: not migrated".to_owned()),
            Side::Here(Written { at_relay: 0, .. }) => None,
            Side::Here(written) => {
                Some(format!("{} waiting at the relay", counted(written.at_relay, "event")))
            }
        };
        let broker = match self.at_broker {
            Side::Down | Side::NotMigrated => Some("broker: down".to_owned()),
            Side::Here(messages) if messages > 0 && !self.replica_has_everything() => {
                Some(format!("{} waiting at the broker", counted(messages, "message")))
            }
            Side::Here(_) => None,
        };
        let waiting: Vec<String> = relay.into_iter().chain(broker).collect();
        match self.under_way() {
            0 if waiting.is_empty() => "nothing waiting".to_owned(),
            // They have left the relay, and the broker has not counted them yet.
            events if waiting.is_empty() => format!("{} under way", counted(events, "event")),
            _ => waiting.join(", "),
        }
    }

    /// Whether a count of the broker, which may be five seconds old, means nothing any more: nothing is left to apply,
    /// and a consumer empties the queue of repetitions.
    fn replica_has_everything(&self) -> bool {
        let (Side::Here(written), Side::Here(applied)) = (&self.written, &self.applied) else {
            return false;
        };
        self.consumer_runs && applied.applied_through >= written.last_position
    }

    /// Events that the relay has published and the replica has not applied.
    fn under_way(&self) -> u64 {
        let (Side::Here(written), Side::Here(applied)) = (&self.written, &self.applied) else {
            return 0;
        };
        written.last_position.saturating_sub(applied.applied_through).saturating_sub(written.at_relay)
    }

    fn dead_letters(&self) -> String {
        match &self.applied {
            Side::Here(Applied { dead_letters: 0, .. }) => "no dead letters".to_owned(),
            Side::Here(applied) => counted(applied.dead_letters, "dead letter"),
            _ => "dead letters unknown".to_owned(),
        }
    }
}

fn counted(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(last_position: u64, at_relay: u64, behind_ms: u64) -> Side<Written> {
        Side::Here(Written { last_position, at_relay, behind_ms })
    }

    fn applied(applied_through: u64, dead_letters: u64) -> Side<Applied> {
        Side::Here(Applied { applied_through, as_of: None, dead_letters })
    }

    #[test]
    fn the_sentence_says_how_far_the_replica_is_and_where_events_wait() {
        for (written, applied, at_broker, sentence) in [
            (
                written(1042, 0, 3),
                applied(1042, 0),
                Side::Here(0),
                "replica main: 1,042 of 1,042, 3 ms behind; nothing waiting; no dead letters",
            ),
            (
                written(1_234_567, 1000, 12_345),
                applied(999, 1),
                Side::Here(4321),
                "replica main: 999 of 1,234,567, 12,345 ms behind; 1,000 events waiting at the relay, \
                 4,321 messages waiting at the broker; 1 dead letter",
            ),
            (
                written(8, 0, 9),
                applied(7, 0),
                Side::Here(1),
                "replica main: 7 of 8, 9 ms behind; 1 message waiting at the broker; no dead letters",
            ),
            (
                written(8, 1, 9),
                applied(7, 0),
                Side::Down,
                "replica main: 7 of 8, 9 ms behind; 1 event waiting at the relay, broker: down; no dead letters",
            ),
            (
                written(8, 0, 9),
                applied(6, 0),
                Side::Here(0),
                "replica main: 6 of 8, 9 ms behind; 2 events under way; no dead letters",
            ),
            (
                Side::Down,
                applied(7, 2),
                Side::Here(0),
                "replica main: 7 applied; primary: down; 2 dead letters",
            ),
            (
                written(7, 0, 0),
                Side::Down,
                Side::Here(0),
                "replica main: down; nothing waiting; dead letters unknown",
            ),
            (
                Side::NotMigrated,
                Side::NotMigrated,
                Side::Down,
                "replica main: not migrated; primary: not migrated, broker: down; dead letters unknown",
            ),
        ] {
            let replica = "main".to_owned();
            let progress = Progress { replica, written, applied, at_broker, consumer_runs: true };
            assert_eq!(progress.sentence(), sentence);
        }
    }

    #[test]
    fn an_old_count_of_the_broker_says_nothing_while_the_consumer_runs() {
        for (consumer_runs, waiting) in
            [(true, "nothing waiting"), (false, "2 messages waiting at the broker")]
        {
            let (written, applied) = (written(7, 0, 0), applied(7, 0));
            let replica = "main".to_owned();
            let progress = Progress { replica, written, applied, at_broker: Side::Here(2), consumer_runs };

            let sentence = progress.sentence();

            assert!(sentence.contains(&format!("; {waiting}; ")), "{sentence}");
        }
    }

    #[test]
    fn digits_are_grouped_from_the_right() {
        let written: Vec<String> = [0, 999, 1000, 1_000_000].into_iter().map(grouped).collect();

        assert_eq!(written, ["0", "999", "1,000", "1,000,000"]);
    }
}
