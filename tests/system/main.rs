//! The system tests, in the order of the flow.

mod command_line;
mod walk_through;
mod commit;
mod outages;
