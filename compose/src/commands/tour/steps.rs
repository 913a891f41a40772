//! The steps, in the order of the flow: what they do, and what the reader sees.

mod commands;
mod reads;
mod services;

use anyhow::Result;

use super::guide::Guide;

/// One step.
pub(super) struct Step {
    pub(super) title: &'static str,
    pub(super) why: &'static str,
    pub(super) run: fn(&mut Guide) -> Result<()>,
}

pub(super) const STEPS: [Step; 12] = [
    Step {
        title: "A slot is created",
        why: "\
command-service writes the slot and its event to the primary in one transaction. It answers when both are durable: \
201, with the slot at version 1.",
        run: commands::create,
    },
    Step {
        title: "Lists are read from the replica",
        why: "\
The event went through the broker to event-consumer, which wrote the row to the replica. So the list has the slot, \
and both databases hold the same.",
        run: reads::list,
    },
    Step {
        title: "A receipt makes a read wait for a write",
        why: "\
The answer to a change carries a Write-Receipt. A read with that receipt waits until the replica has the change, and \
says Freshness-Result: satisfied.",
        run: reads::read_own_write,
    },
    Step {
        title: "A row of the replica is edited by hand",
        why: "The list shows the edit at once, because it reads there. The primary knows nothing of it.",
        run: reads::edit,
    },
    Step {
        title: "verify finds the edit",
        why: "\
It compares every slot of the replica with the log, names each difference and ends with status 1. With --repair it \
would heal them.",
        run: reads::verify,
    },
    Step {
        title: "The next change of the slot heals it",
        why: "\
An event carries the whole slot, so the replica becomes what the primary is: the old name, the new status, version 3.",
        run: commands::heal,
    },
    Step {
        title: "If-Match keeps two people from overwriting each other",
        why: "\
The first change names version 1. The slot has version 3, so nothing happens: 412. The second change names version 3, \
and is carried out.",
        run: commands::change_a_version,
    },
    Step {
        title: "With an Idempotency-Key, a command sent twice happens once",
        why: "\
The second request has the same key and the same body. It creates nothing and gets the first answer again, with \
Idempotency-Replayed: true. The list has the slot once.",
        run: commands::send_twice,
    },
    Step {
        title: "event-consumer is stopped, and commands go on",
        why: "\
The create is answered with 201 as before. The list does not have the slot yet: its event waits at the broker, and \
`status` says so (the broker counts every 5 s).",
        run: services::stop,
    },
    Step {
        title: "event-consumer is started again",
        why: "It takes what has waited, and the slot is in the list. Nothing was lost.",
        run: services::start,
    },
    Step {
        title: "The slots are deleted",
        why: "\
204 each. They leave the list when the events have arrived. A second delete finds nothing: 404.",
        run: commands::delete,
    },
    Step {
        title: "All is as before",
        why: "All parts run, and the replica has followed.",
        run: services::status,
    },
];
