//! The system tests, in the order of the flow.

mod strategies;
mod tidy;
mod checks;
mod schema;
mod names;
mod decision;
mod event_format;
mod messages;
mod projection;
mod command_line;
mod images;
mod tour;
mod readme;
mod walk_through;
mod commit;
mod instances;
mod deliveries;
mod dead_letters;
mod crashes;
mod outages;
mod stopped_servers;
mod start_order;
