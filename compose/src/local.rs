//! The stack of one checkout.

mod port_choice;
mod home;
mod record;
mod servers;
mod service;
pub(crate) mod http;
mod health;
mod lag;
mod interrupts;

pub(crate) use health::Health;
pub(crate) use home::Home;
pub(crate) use interrupts::Interrupts;
pub(crate) use lag::{Progress, Side};
pub(crate) use port_choice::PortFlags;
pub(crate) use record::Stack;
pub(crate) use servers::KILL_LIMIT;
pub(crate) use service::inherited_settings;
pub(crate) use stack::Part;
