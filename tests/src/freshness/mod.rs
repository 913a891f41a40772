//! Reads beside writes, and whether any answer claimed to be fresher than it was.
//!
//! Writers keep what was acknowledged to them, readers what they demanded and what they saw. Every sample is judged
//! later, against the whole log: of a write that was acknowledged only after the read, the commit time may still say
//! that the read should have shown it.
//!
//! | module | holds |
//! |---|---|
//! | [`register`] | what the log makes of every slot, at any time |
//! | [`book`] | what was acknowledged |
//! | [`sample`] | one read: what it demanded, what it showed |
//! | [`judge`] | whether it told the truth |
//! | `writer` | who writes |
//! | `reader` | who reads |
//! | [`trial`] | all of them at once |
//! | `notes` | what followers have read, and in which phase |
//! | `follower` | a client that reads one slot at a time, with the receipts that it has |
//! | [`crowd`] | writers and followers at one address, while a test disturbs what answers there |
//! | [`ledger`] | the log and the acknowledgements by slot |

pub mod register;
pub mod book;
pub mod sample;
pub mod judge;
mod counting;
mod verdict;
mod writer;
mod reader;
pub mod trial;
mod notes;
mod follower;
pub mod crowd;
pub mod ledger;

pub use self::{
    crowd::Crowd,
    ledger::Ledger,
    notes::Noted,
    trial::{Trial, Writing},
    verdict::{Checks, Verdict},
};
