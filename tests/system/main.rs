//! The system tests, in the order of the flow.

mod strategies;
mod names;
mod decision;
mod event_format;
mod messages;
mod command_line;
mod projection;
mod walk_through;
mod commit;
mod instances;
mod crashes;
mod outages;
mod stopped_servers;
mod start_order;
