//! The stack of one checkout.

mod port_choice;
mod shape_choice;
mod home;
mod record;
mod servers;
mod service;
mod health;
mod front;
mod progress;
mod sentence;
mod address;
mod interrupts;

pub(crate) use address::without_password;
pub(crate) use health::Health;
pub(crate) use home::Home;
pub(crate) use interrupts::Interrupts;
pub(crate) use port_choice::PortFlags;
pub(crate) use progress::{Progress, Side};
pub(crate) use record::{Record, Stack};
pub(crate) use servers::KILL_LIMIT;
pub(crate) use service::inherited_settings;
pub(crate) use shape_choice::{ShapeFlags, further_ports};
pub(crate) use stack::{Part, Shape};
