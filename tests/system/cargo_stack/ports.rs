//! Ports stay what they are until somebody asks for others.

use anyhow::{Result, ensure};
use serde_json::Value;
use stack::{Part, Shape, ports};
use system_tests::{CargoStack, cargo_stack::said};

use super::own_stack::OwnStack;

#[test]
fn ports_are_remembered_when_all_is_stopped_and_forgotten_with_the_data() -> Result<()> {
    let stack = OwnStack::new()?;
    let up = OwnStack::up_on_free_ports()?;
    let with_flags: Vec<&str> = up.iter().map(String::as_str).collect();
    stack.run(&with_flags)?;
    let before = stack.addresses()?;

    stack.run(&["down"])?;
    let said = stack.run(&["up", "--detach", "--no-install"])?;
    let after = stack.addresses()?;
    stack.run(&["down", "--wipe"])?;

    assert_eq!(before.len(), Shape::default().parts().len());
    assert_eq!(before, after, "the ports are those of the first start");
    ensure!(said.contains(&format!("ports as at the last start: {}", with_flags[3..].join(" "))), "{said}");
    assert_eq!(stack.addresses()?.len(), 0, "nothing is remembered");
    Ok(())
}

#[test]
fn a_start_that_fails_leaves_everything_as_it_was() -> Result<()> {
    let stack = CargoStack::up()?;
    for service in Shape::default().services() {
        stack.run(&["stop", &service.name()])?;
    }
    let status = || -> Result<Vec<Value>> {
        Shape::default()
            .parts()
            .into_iter()
            .map(|part| stack.status_of(part))
            .map(|status| Ok(without_as_of(status?)))
            .collect()
    };
    let before = status()?;
    let (http, consumer) = (ports::free()?.to_string(), ports::free()?.to_string());
    let up = ["up", "--detach", "--no-install", "--http-port", &http, "--consumer-http-port", &consumer];

    // event-consumer cannot start then, and command-service is started before it.
    stack.sql(Part::REPLICA, "REVOKE CONNECT ON DATABASE parking_replica FROM event_consumer")?;
    let failed = stack.command().args(up).output()?;
    stack.sql(Part::REPLICA, "GRANT CONNECT ON DATABASE parking_replica TO event_consumer")?;

    assert_eq!(failed.status.code(), Some(1), "{}", said(&failed));
    assert_eq!(status()?, before);
    Ok(())
}

/// The one thing that goes on by itself.
fn without_as_of(mut status: Value) -> Value {
    if let Some(status) = status.as_object_mut() {
        status.remove("as_of");
    }
    status
}
