//! What a primary says of itself against what is known of it.

use command_service::{
    primary::epoch::{EpochVerdict, Evidence, Identity, PrimaryReport},
    register::place::{LogEnd, Sighting},
};
use jiff::Timestamp;
use uuid::Uuid;

const EPOCH: Uuid = Uuid::from_u128(1);
const FORMER: Uuid = Uuid::from_u128(2);
const HERE: Identity = Identity { system_identifier: -7, timeline: 1, database: 5 };

fn at(second: i64) -> Timestamp {
    Timestamp::constant(second, 0)
}

fn sighting(epoch: Uuid, position: i64, second: i64) -> Sighting {
    Sighting { epoch, position, committed_at: at(second) }
}

/// A log of ten events, the one at position n of second n.
fn state(noted: Option<Identity>, server: Identity, seen: Option<Sighting>) -> PrimaryReport {
    let known = seen.map(|seen| seen.position).filter(|position| (1..=10).contains(position));
    PrimaryReport {
        epoch: EPOCH,
        noted,
        server: Some(server),
        last: Some(sighting(EPOCH, 10, 10)),
        known_committed_at: known.map(at),
    }
}

#[test]
fn a_primary_is_another_exactly_when_somebody_knows_what_it_lacks_or_where_it_was() {
    let elsewhere = EpochVerdict::Changed(Evidence::Elsewhere);
    let forgotten = EpochVerdict::Changed(Evidence::Forgotten);
    let behind = EpochVerdict::Changed(Evidence::BehindReplica);
    let applied = |epoch, position| Some(LogEnd { epoch, position });
    let cases = [
        (Some(HERE), HERE, None, None, EpochVerdict::Same, "nobody knows anything"),
        (None, HERE, None, None, EpochVerdict::Unnoted, "nor was anything noted"),
        (Some(HERE), Identity { system_identifier: 7, ..HERE }, None, None, elsewhere, "another server"),
        (Some(HERE), Identity { timeline: 2, ..HERE }, None, None, elsewhere, "a recovery, or a promotion"),
        (Some(HERE), Identity { database: 6, ..HERE }, None, None, elsewhere, "a copy beside the first"),
        (
            Some(HERE),
            HERE,
            Some(sighting(EPOCH, 10, 10)),
            applied(EPOCH, 10),
            EpochVerdict::Same,
            "all of it is known",
        ),
        (
            Some(HERE),
            HERE,
            Some(sighting(EPOCH, 4, 4)),
            applied(EPOCH, 3),
            EpochVerdict::Same,
            "it has grown",
        ),
        (Some(HERE), HERE, Some(sighting(EPOCH, 11, 11)), None, forgotten, "it has become shorter"),
        (Some(HERE), HERE, Some(sighting(EPOCH, 9, 8)), None, forgotten, "another event has the position"),
        (Some(HERE), HERE, None, applied(EPOCH, 11), behind, "the replica has more"),
        (Some(HERE), HERE, Some(sighting(FORMER, 99, 99)), None, EpochVerdict::Same, "seen in a former life"),
        (Some(HERE), HERE, None, applied(FORMER, 99), EpochVerdict::Same, "applied in a former life"),
        (None, HERE, None, applied(EPOCH, 11), behind, "known though not noted"),
    ];
    for (noted, server, seen, applied, expected, reason) in cases {
        assert_eq!(state(noted, server, seen).judge(seen, applied), expected, "{reason}");
    }
}

#[test]
fn an_empty_log_lacks_whatever_is_known() {
    let empty = PrimaryReport { last: None, known_committed_at: None, ..state(Some(HERE), HERE, None) };

    let nothing = empty.judge(None, Some(LogEnd { epoch: EPOCH, position: 0 }));
    let forgotten = empty.judge(Some(sighting(EPOCH, 1, 1)), None);
    let behind = empty.judge(None, Some(LogEnd { epoch: EPOCH, position: 1 }));

    assert_eq!(nothing, EpochVerdict::Same);
    assert_eq!(forgotten, EpochVerdict::Changed(Evidence::Forgotten));
    assert_eq!(behind, EpochVerdict::Changed(Evidence::BehindReplica));
}
