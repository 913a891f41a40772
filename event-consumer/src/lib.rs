//! event-consumer
