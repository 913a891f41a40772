//! `decide` and `evolve` against a model of the register that is written down independently of them.

use std::collections::BTreeMap;

use proptest::{
    collection::vec,
    option,
    prelude::{Just, Strategy, any, prop_oneof},
    prop_assert, prop_assert_eq, proptest,
};
use shared::slot::{
    ChangeSlot, Command, CreateSlot, DeleteSlot, Precondition, Rejection, Slot, SlotEvent, SlotName,
    SlotStatus, Version, decide, evolve,
};
use uuid::Uuid;

use crate::strategies::status;

/// What is asked of one of a few slots; a precondition is relative to the slot's version, so that it often holds.
#[derive(Clone, Debug)]
enum Submission {
    Create(u8, u8, SlotStatus),
    Change(u8, Option<u8>, Option<SlotStatus>, Demand),
    Delete(u8, Demand),
}

#[derive(Clone, Debug)]
enum Demand {
    Nothing,
    VersionsAt(Vec<i64>),
}

/// The model: name number, status, version.
type Register = BTreeMap<u8, (u8, SlotStatus, i64)>;

/// What the model says of a command.
#[derive(Clone, Debug, PartialEq)]
enum Expected {
    Created,
    Updated(&'static str, i64),
    Deleted(i64),
    Nothing,
    NotFound,
    Mismatch(i64),
    Exists,
}

fn demand() -> impl Strategy<Value = Demand> {
    prop_oneof![3 => Just(Demand::Nothing), 2 => vec(-2..=2_i64, 0..3).prop_map(Demand::VersionsAt)]
}

fn ask() -> impl Strategy<Value = Submission> {
    let (slot, name) = (0..3_u8, 0..3_u8);
    prop_oneof![
        2 => (slot.clone(), name.clone(), status()).prop_map(|(slot, name, status)| Submission::Create(slot, name, status)),
        4 => (slot.clone(), option::of(name), option::of(status()), demand())
            .prop_map(|(slot, name, status, demand)| Submission::Change(slot, name, status, demand)),
        1 => (slot, demand()).prop_map(|(slot, demand)| Submission::Delete(slot, demand)),
    ]
}

fn uuid_of(slot: u8) -> Uuid {
    Uuid::from_u128(u128::from(slot) + 1)
}

fn name_of(number: u8) -> SlotName {
    SlotName::parse(&format!("Name {number}")).expect("a name")
}

fn precondition(demand: &Demand, current: i64) -> Precondition {
    match demand {
        Demand::Nothing => Precondition::Exists,
        Demand::VersionsAt(offsets) => {
            let versions = offsets.iter().filter_map(|offset| Version::new(current + offset));
            Precondition::VersionIn(versions.collect())
        }
    }
}

fn command(ask: &Submission, current: i64) -> Command {
    match ask {
        Submission::Create(slot, name, status) => {
            Command::Create(CreateSlot { uuid: uuid_of(*slot), name: name_of(*name), status: *status })
        }
        Submission::Change(slot, name, status, demand) => Command::Change(ChangeSlot {
            uuid: uuid_of(*slot),
            precondition: precondition(demand, current),
            name: name.map(name_of),
            status: *status,
        }),
        Submission::Delete(slot, demand) => {
            Command::Delete(DeleteSlot { uuid: uuid_of(*slot), precondition: precondition(demand, current) })
        }
    }
}

/// Carries the ask out in the model.
fn model(register: &mut Register, ask: &Submission) -> Expected {
    let (slot, demand) = match ask {
        Submission::Create(slot, name, status) => {
            if register.contains_key(slot) {
                return Expected::Exists;
            }
            register.insert(*slot, (*name, *status, 1));
            return Expected::Created;
        }
        Submission::Change(slot, _, _, demand) | Submission::Delete(slot, demand) => (slot, demand),
    };
    let Some((old_name, old_status, version)) = register.get(slot).copied() else {
        return Expected::NotFound;
    };
    if matches!(demand, Demand::VersionsAt(offsets) if !offsets.contains(&0)) {
        return Expected::Mismatch(version);
    }
    let Submission::Change(_, name, status, _) = ask else {
        register.remove(slot);
        return Expected::Deleted(version + 1);
    };
    let (name, status) = (name.unwrap_or(old_name), status.unwrap_or(old_status));
    let changed = match (name == old_name, status == old_status) {
        (true, true) => return Expected::Nothing,
        (false, true) => "name",
        (true, false) => "status",
        (false, false) => "name,status",
    };
    register.insert(*slot, (name, status, version + 1));
    Expected::Updated(changed, version + 1)
}

fn seen(decided: &Result<Option<SlotEvent>, Rejection>) -> Expected {
    match decided {
        Ok(None) => Expected::Nothing,
        Ok(Some(SlotEvent::Created(_))) => Expected::Created,
        Ok(Some(SlotEvent::Updated { slot, changed })) => {
            Expected::Updated(changed.as_str(), slot.version.get())
        }
        Ok(Some(SlotEvent::Deleted { version, .. })) => Expected::Deleted(version.get()),
        Err(Rejection::NotFound) => Expected::NotFound,
        Err(Rejection::VersionMismatch { current }) => Expected::Mismatch(current.get()),
        Err(Rejection::AlreadyExists) => Expected::Exists,
    }
}

proptest! {
    #[test]
    fn every_history_of_commands_ends_as_the_model_says(asks in vec(ask(), 0..40)) {
        let mut register = Register::new();
        let mut slots: BTreeMap<Uuid, Slot> = BTreeMap::new();

        for ask in &asks {
            let (Submission::Create(slot, ..) | Submission::Change(slot, ..) | Submission::Delete(slot, _)) = ask;
            let uuid = uuid_of(*slot);
            let current = slots.get(&uuid).map_or(1, |slot| slot.version.get());
            let decided = decide(slots.get(&uuid), &command(ask, current));
            let expected = model(&mut register, ask);

            prop_assert_eq!(seen(&decided), expected, "{:?}", ask);
            if let Ok(Some(event)) = decided {
                prop_assert_eq!(event.uuid(), uuid, "the event is of the slot that was asked for");
                match evolve(&event) {
                    Some(slot) => slots.insert(uuid, slot.clone()),
                    None => slots.remove(&uuid),
                };
            }
        }

        let modelled = register.iter().map(|(slot, (name, status, version))| Slot {
            uuid: uuid_of(*slot),
            name: name_of(*name),
            status: *status,
            version: Version::new(*version).expect("a version"),
        });
        prop_assert!(modelled.eq(slots.into_values()), "the slots are those of the model");
    }

    #[test]
    fn deciding_twice_on_the_same_state_gives_the_same(ask in ask(), version in 1..100_i64, any in any::<bool>()) {
        let slot = Slot {
            uuid: uuid_of(0),
            name: name_of(0),
            status: SlotStatus::Available,
            version: Version::new(version).expect("a version"),
        };
        let state = any.then_some(&slot);
        let command = command(&ask, version);

        let (first, second) = (decide(state, &command), decide(state, &command));

        prop_assert_eq!(first, second, "no clock and no chance is in it");
    }
}
