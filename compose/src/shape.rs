//! The shape of a stack: how many processes read, how many replicas there are, and whether there is a gateway.

use serde::{Deserialize, Serialize};

use crate::{Part, Port, Role, Setting};

/// The most query processes, and the most replicas, of one stack: all of them share one machine.
pub const COUNT_MAX: u8 = 8;

/// The shape, from which the parts of a stack follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// How many query processes there are. With none, command-service answers reads too.
    pub query: u8,
    /// How many replicas there are, each with a consumer; at least 1.
    pub replicas: u8,
    /// Whether there is a gateway.
    pub gateway: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self { query: 0, replicas: 1, gateway: false }
    }
}

impl Shape {
    /// All parts, in the order in which they are shown.
    pub fn parts(self) -> Vec<Part> {
        let mut parts = self.servers();
        parts.extend(self.services());
        parts.extend(self.gateway.then_some(Part::Gateway));
        parts
    }

    /// The databases and the broker, which the services need.
    pub fn servers(self) -> Vec<Part> {
        self.databases().into_iter().chain([Part::RabbitMq]).collect()
    }

    /// The databases.
    pub fn databases(self) -> Vec<Part> {
        [Part::Primary].into_iter().chain(self.replicas()).collect()
    }

    /// The databases of the read side.
    pub fn replicas(self) -> impl Iterator<Item = Part> {
        (1..=self.replicas).map(Part::Replica)
    }

    /// The services.
    pub fn services(self) -> Vec<Part> {
        let consumers = (1..=self.replicas).map(Part::EventConsumer);
        [Part::CommandService].into_iter().chain((1..=self.query).map(Part::Query)).chain(consumers).collect()
    }

    /// The services that answer reads.
    pub fn readers(self) -> Vec<Part> {
        match self.query {
            0 => vec![Part::CommandService],
            count => (1..=count).map(Part::Query).collect(),
        }
    }

    /// The replica that a service reads or maintains. Query processes share the replicas in turn.
    pub fn replica_of(self, service: Part) -> Part {
        match service {
            Part::Query(number) => Part::Replica((number - 1) % self.replicas + 1),
            Part::EventConsumer(number) => Part::Replica(number),
            _ => Part::REPLICA,
        }
    }

    /// The parts without which it cannot be ready.
    pub fn needs(self, part: Part) -> Vec<Part> {
        match part {
            Part::CommandService => vec![Part::Primary, Part::REPLICA, Part::RabbitMq],
            Part::Query(_) => vec![Part::Primary, self.replica_of(part)],
            Part::EventConsumer(number) => vec![Part::Replica(number), Part::RabbitMq],
            Part::Gateway => self.readers(),
            Part::Primary | Part::Replica(_) | Part::RabbitMq => Vec::new(),
        }
    }

    /// The arguments with which a service serves: none where its default is right.
    pub fn arguments(self, service: Part) -> &'static [&'static str] {
        match service {
            Part::CommandService if self.query > 0 => &["serve", "--roles", "command,relay"],
            Part::Query(_) => &["serve", "--roles", "query"],
            _ => &[],
        }
    }

    /// The variables of a service. Each service gets only the addresses that it uses; command-service gets those of
    /// its whole command line.
    pub fn settings(self, service: Part) -> Vec<(&'static str, Setting)> {
        let primary = ("DATABASE_URL", Setting::Database(Part::Primary, Role::CommandService));
        let replica = |role| ("REPLICA_DATABASE_URL", Setting::Database(self.replica_of(service), role));
        let broker = ("RABBITMQ_BROKER_URL", Setting::Broker);
        let signing_key = ("PARKING__BROKER__SIGNING_KEY", Setting::SigningKey);
        let format = ("PARKING__LOG__FORMAT", Setting::LogFormat);
        match service {
            Part::CommandService => vec![
                primary,
                replica(Role::CommandServiceReader),
                broker,
                signing_key,
                ("PARKING__HTTP__PORT", Setting::Port(Port::Http)),
                format,
            ],
            Part::Query(_) => vec![
                primary,
                replica(Role::CommandServiceReader),
                ("PARKING__HTTP__PORT", Setting::FurtherPort(service)),
                format,
            ],
            Part::EventConsumer(number) => {
                let port = match number {
                    1 => Setting::Port(Port::ConsumerHttp),
                    _ => Setting::FurtherPort(service),
                };
                let port = ("PARKING__CONSUMER__HTTP_PORT", port);
                let mut settings = vec![replica(Role::EventConsumer), broker, signing_key, port, format];
                // The first one has the name that is the default.
                let name = ("PARKING__REPLICA__NAME", Setting::ReplicaName(Part::Replica(number)));
                settings.extend((number > 1).then_some(name));
                settings
            }
            Part::Primary | Part::Replica(_) | Part::RabbitMq | Part::Gateway => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(parts: impl IntoIterator<Item = Part>) -> Vec<String> {
        parts.into_iter().map(Part::name).collect()
    }

    #[test]
    fn a_stack_without_a_shape_has_five_parts() {
        let parts = names(Shape::default().parts());

        assert_eq!(parts, ["primary", "replica", "rabbitmq", "command-service", "event-consumer"]);
        for service in Shape::default().services() {
            assert_eq!(Shape::default().arguments(service), [""; 0], "{service} serves as it does by itself");
        }
    }

    #[test]
    fn the_parts_follow_from_the_shape() {
        let shape = Shape { query: 2, replicas: 2, gateway: true };

        let parts = names(shape.parts());

        assert_eq!(
            parts.join(" "),
            "primary replica replica-2 rabbitmq command-service query-1 query-2 event-consumer event-consumer-2 gateway"
        );
        assert_eq!(names(shape.needs(Part::Gateway)), ["query-1", "query-2"]);
        assert_eq!(names(Shape { query: 0, ..shape }.needs(Part::Gateway)), ["command-service"]);
    }

    #[test]
    fn query_processes_share_the_replicas_in_turn() {
        for (query, replicas, expected) in [
            (3, 2, "replica replica-2 replica"),
            (2, 3, "replica replica-2"),
            (3, 1, "replica replica replica"),
        ] {
            let shape = Shape { query, replicas, gateway: false };
            let read = names(shape.readers().into_iter().map(|reader| shape.replica_of(reader)));
            assert_eq!(read.join(" "), expected, "{query} query processes on {replicas} replicas");
        }
    }

    #[test]
    fn only_a_further_consumer_is_told_the_name_of_its_replica() {
        let shape = Shape { replicas: 2, ..Shape::default() };
        let name = |consumer| {
            let settings = shape.settings(consumer);
            settings
                .into_iter()
                .find(|(name, _)| *name == "PARKING__REPLICA__NAME")
                .map(|(_, setting)| setting)
        };

        assert_eq!(name(Part::EventConsumer(1)), None);
        assert_eq!(name(Part::EventConsumer(2)), Some(Setting::ReplicaName(Part::Replica(2))));
        assert_eq!(Part::Replica(2).replica_name().as_deref(), Some("replica-2"));
        assert_eq!(Part::REPLICA.replica_name().as_deref(), Some("main"));
    }
}
