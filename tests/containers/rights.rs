//! What the containers may do: as the engine was told, and as the kernel says of their main processes.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use stack::{Part, Shape};
use system_tests::engine::Project;

/// Containers of the project that do their work and end.
const MIGRATIONS: [&str; 2] = ["migrate-primary", "migrate-replica"];

pub(crate) fn no_container_has_more_rights_than_it_needs(project: &mut Project) -> Result<()> {
    let parts: Vec<String> = Shape::default().parts().into_iter().map(Part::name).collect();
    let migrations = MIGRATIONS.map(str::to_owned);
    for service in parts.iter().chain(&migrations) {
        check_container(project, service)?;
    }
    for part in &parts {
        check_process(project, part)?;
    }
    check_broker(project).context("the broker's memory")?;
    // Only these have a program that could write somewhere.
    for server in Shape::default().servers() {
        let written = project.compose(&["exec", "-T", &server.name(), "touch", "/usr/local/bin/written"]);
        ensure!(written.is_err(), "{server} writes into its own image");
    }
    Ok(())
}

/// What the engine was told of a service's container.
pub(crate) fn check_container(project: &Project, service: &str) -> Result<()> {
    let container = project.inspect(service)?;
    check_told(&container).with_context(|| format!("{service} is told too much"))?;
    check_published(&container).with_context(|| format!("ports of {service}"))
}

/// What the kernel says of its main process.
pub(crate) fn check_process(project: &Project, service: &str) -> Result<()> {
    let process = project.main_process(service)?;
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid()))?;
    check_kernel(&status).with_context(|| format!("{service} may do too much"))
}

/// The broker knows its limit: it blocks publishers before the kernel ends it.
fn check_broker(project: &Project) -> Result<()> {
    let broker = Part::RabbitMq.name();
    let limit = project.inspect(&broker)?["HostConfig"]["Memory"].as_u64().context("no limit")?;
    let status = ["exec", "-T", &broker, "rabbitmq-diagnostics", "--quiet", "status", "--formatter", "json"];
    let status: Value = serde_json::from_str(&project.compose(&status)?)?;
    let watermark = status["vm_memory_high_watermark_limit"].as_u64().context("no watermark")?;
    ensure!((limit / 2..limit).contains(&watermark), "{watermark} bytes, and {limit} are allowed");
    Ok(())
}

fn check_told(container: &Value) -> Result<()> {
    let host = &container["HostConfig"];
    ensure!(host["ReadonlyRootfs"] == true, "its root can be written");
    ensure!(host["CapDrop"] == json!(["ALL"]), "it keeps capabilities: {}", host["CapDrop"]);
    ensure!(host["CapAdd"].is_null(), "it gains capabilities: {}", host["CapAdd"]);
    ensure!(host["Privileged"] == false, "it is privileged");
    ensure!(host["SecurityOpt"] == json!(["no-new-privileges:true"]), "options: {}", host["SecurityOpt"]);
    ensure!(host["Memory"].as_u64().is_some_and(|bytes| bytes > 0), "its memory has no limit");
    let user = container["Config"]["User"].as_str().unwrap_or_default();
    ensure!(!["", "0", "root", "0:0"].contains(&user), "it runs as `{user}`");
    ensure!(container["State"]["OOMKilled"] == false, "its memory did not suffice");
    Ok(())
}

fn check_published(container: &Value) -> Result<()> {
    let published = container["HostConfig"]["PortBindings"].as_object().context("no ports")?;
    for binding in published.values().filter_map(Value::as_array).flatten() {
        ensure!(binding["HostIp"] == "127.0.0.1", "one is open to the world: {binding}");
    }
    Ok(())
}

/// The lines of `/proc/PID/status` that say what a process may do.
fn check_kernel(status: &str) -> Result<()> {
    let lines: BTreeMap<&str, &str> = status
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name, value.trim()))
        .collect();
    for ids in ["Uid", "Gid"] {
        let ids = lines.get(ids).context("no ids")?;
        ensure!(ids.split_whitespace().all(|id| id != "0"), "it runs as root: {ids}");
    }
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let capabilities = lines.get(set).context("no capabilities")?;
        ensure!(u64::from_str_radix(capabilities, 16)? == 0, "{set} is {capabilities}");
    }
    ensure!(lines.get("NoNewPrivs") == Some(&"1"), "it can gain privileges");
    ensure!(lines.get("Seccomp") == Some(&"2"), "every system call is allowed");
    Ok(())
}
