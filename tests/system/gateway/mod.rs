//! The gateway: nginx with the shipped configuration. Stand-ins are behind it where a process has to fail at one exact
//! moment.

mod front;
mod stand_in;
mod routing;
mod reads;
mod commands;
mod refusals;
mod scaled;
mod receipts;
