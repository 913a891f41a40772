//! The profile `scaled` of `compose/cqrs.yml`.

use stack::{Part, Shape};

/// Its name.
pub const PROFILE: &str = "scaled";

/// The shape of the project with the profile. command-service alone keeps all its roles.
pub const SCALED: Shape = Shape { query: 2, replicas: 2, gateway: true };

/// The processes of command-service that the profile has beside that shape.
pub const FURTHER: [&str; 2] = ["command-2", "relay"];

/// The migration of the second replica, which ends when it is done.
pub const MIGRATION: &str = "migrate-replica-2";

/// The parts that only the profile has.
#[must_use]
pub fn parts() -> Vec<Part> {
    let base = Shape::default().parts();
    SCALED.parts().into_iter().filter(|part| !base.contains(part)).collect()
}

/// The services that run only with the profile.
#[must_use]
pub fn services() -> Vec<String> {
    parts().into_iter().map(Part::name).chain(FURTHER.map(str::to_owned)).collect()
}
