//! The roles of a process: which parts of the service it runs. All of them by default; several processes may share them.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

/// A part of the service that a process may run without the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Carries out commands: `POST`, `PATCH`, `DELETE`.
    Command,
    /// Answers reads.
    Query,
    /// Publishes the log and answers requests for replay.
    Relay,
}

impl Role {
    /// Every role, in the order of the flow.
    pub const ALL: [Self; 3] = [Self::Command, Self::Query, Self::Relay];

    /// The name on the command line and in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Query => "query",
            Self::Relay => "relay",
        }
    }
}

/// A set of roles. [`Roles::only`] may return an empty one; a parsed one has at least one role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles([bool; Role::ALL.len()]);

/// The text names no role, an unknown one, or one twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one or more of command, query and relay, with commas between them, each at most once")]
pub struct RolesError;

impl Roles {
    /// All roles.
    pub const ALL: Self = Self([true; Role::ALL.len()]);

    /// Whether `role` is one of them.
    #[must_use]
    pub fn has(self, role: Role) -> bool {
        self.0[role as usize]
    }

    /// Every role for which `is_meant` returns true.
    #[must_use]
    pub fn that(is_meant: impl FnMut(Role) -> bool) -> Self {
        Self(Role::ALL.map(is_meant))
    }

    /// Those of them that are in `some`.
    #[must_use]
    pub fn only(self, some: &[Role]) -> Self {
        Self::that(|role| self.has(role) && some.contains(&role))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.names().is_empty()
    }

    /// Their names, in the order of the flow.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        Role::ALL.into_iter().filter(|role| self.has(*role)).map(Role::name).collect()
    }

    /// Their names in a sentence: `the role query`, `the roles command and relay`.
    #[must_use]
    pub fn in_words(self) -> String {
        match self.names().as_slice() {
            [] => "no role".to_owned(),
            [one] => format!("the role {one}"),
            [others @ .., last] => format!("the roles {} and {last}", others.join(", ")),
        }
    }
}

impl FromStr for Roles {
    type Err = RolesError;

    fn from_str(text: &str) -> Result<Self, RolesError> {
        let mut roles = Self([false; Role::ALL.len()]);
        for name in text.split(',') {
            let role = Role::ALL.into_iter().find(|role| role.name() == name).ok_or(RolesError)?;
            if std::mem::replace(&mut roles.0[role as usize], true) {
                return Err(RolesError);
            }
        }
        Ok(roles)
    }
}

/// The form that [`Roles::from_str`] reads.
impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(","))
    }
}

impl Serialize for Roles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.names().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every set of roles that is not empty.
    fn every_set() -> impl Iterator<Item = Roles> {
        (1..8).map(|bits| Roles([bits & 1 != 0, bits & 2 != 0, bits & 4 != 0]))
    }

    #[test]
    fn every_set_of_roles_is_read_as_it_is_written_and_in_any_order() {
        for roles in every_set() {
            let mut names = roles.names();
            assert_eq!(roles.to_string().parse(), Ok(roles));
            names.reverse();
            assert_eq!(names.join(",").parse(), Ok(roles), "{names:?}");
        }
        assert_eq!("command,query,relay".parse(), Ok(Roles::ALL));
    }

    #[test]
    fn what_names_no_role_an_unknown_one_or_one_twice_is_no_set_of_roles() {
        let cases = [
            ("", "nothing"),
            (",", "two empty names"),
            ("command,", "an empty name at the end"),
            ("command,,query", "an empty name between two"),
            ("commands", "an unknown name"),
            ("Command", "names are lower case"),
            ("command, query", "a space"),
            ("command query", "no comma"),
            ("all", "no role"),
            ("query,query", "one twice"),
            ("command,query,relay,command", "one twice, not side by side"),
        ];
        for (text, reason) in cases {
            assert_eq!(text.parse::<Roles>(), Err(RolesError), "{reason}");
        }
        for role in Role::ALL {
            assert!(RolesError.to_string().contains(role.name()), "the error names {}", role.name());
        }
    }

    #[test]
    fn a_part_of_the_roles_is_those_that_are_in_both() {
        for roles in every_set() {
            let part = roles.only(&[Role::Command, Role::Relay]);
            for role in Role::ALL {
                assert_eq!(
                    part.has(role),
                    roles.has(role) && role != Role::Query,
                    "{roles}: {}",
                    role.name()
                );
            }
            assert_eq!(roles.only(&[]).names(), Vec::<&str>::new());
        }
    }

    #[test]
    fn roles_stand_in_a_sentence() {
        for (roles, words) in [
            ("relay", "the role relay"),
            ("relay,command", "the roles command and relay"),
            ("command,query,relay", "the roles command, query and relay"),
        ] {
            assert_eq!(roles.parse().map(Roles::in_words), Ok(words.to_owned()));
        }
    }
}
