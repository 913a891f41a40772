//! The system tests, in the order of the flow.
