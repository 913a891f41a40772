//! `compose/cqrs.yml` on a Docker engine, seen from outside: by the Docker client, over HTTP, in both databases.
//!
//! The checks share one running project, so they have an order and a runner of their own. Root always runs them,
//! `.ci/run` demands them, and for an ordinary user they are left out with one line.
//!
//! Where no engine answers, the tests start one: Debian's `dockerd`, with its own data, socket and networks. No public
//! image can be pulled everywhere, so such an engine gets stand-ins under the same names ([`stand_ins`] says how they
//! are made, and `stand_ins/Dockerfile` how they differ).
//!
//! [`stand_ins`]: system_tests::engine::stand_ins

mod runner;
mod start;
mod transcript;
mod rights;
mod images;
mod build_cache;
mod kills;
mod engine_restarts;
mod profile;
mod stand_in;
mod end;

use std::process::ExitCode;

use self::runner::Check;

const CHECKS: [Check; 12] = [
    Check { name: "the_project_starts_with_one_command", run: start::the_project_starts_with_one_command },
    Check {
        name: "the_transcript_of_compose_is_what_one_sees",
        run: transcript::the_transcript_of_compose_is_what_one_sees,
    },
    Check {
        name: "no_container_has_more_rights_than_it_needs",
        run: rights::no_container_has_more_rights_than_it_needs,
    },
    Check {
        name: "the_images_are_small_and_hold_no_secret",
        run: images::the_images_are_small_and_hold_no_secret,
    },
    Check {
        name: "a_second_build_compiles_only_what_has_changed",
        run: build_cache::a_second_build_compiles_only_what_has_changed,
    },
    Check {
        name: "a_container_killed_under_load_comes_back_and_loses_nothing",
        run: kills::a_container_killed_under_load_comes_back_and_loses_nothing,
    },
    Check {
        name: "everything_comes_back_when_the_engine_is_restarted",
        run: engine_restarts::everything_comes_back_when_the_engine_is_restarted,
    },
    Check {
        name: "everything_comes_back_when_the_engine_is_killed",
        run: engine_restarts::everything_comes_back_when_the_engine_is_killed,
    },
    Check {
        name: "the_profile_starts_beside_the_running_project",
        run: profile::the_profile_starts_beside_the_running_project,
    },
    Check {
        name: "reads_through_the_gateway_come_from_both_query_processes",
        run: profile::reads_through_the_gateway_come_from_both_query_processes,
    },
    Check {
        name: "the_second_command_process_and_the_relay_stand_in_for_a_killed_command_service",
        run: stand_in::the_second_command_process_and_the_relay_stand_in_for_a_killed_command_service,
    },
    Check { name: "nothing_is_left_after_the_end", run: end::nothing_is_left_after_the_end },
];

fn main() -> ExitCode {
    runner::run(&CHECKS)
}
