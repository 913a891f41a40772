//! How fresh reads say they are, what they do when more is demanded, and that they never say more than is so.

mod headers;
mod age;
mod demands;
mod foreign;
mod write_receipts;
mod receipt_states;
mod dependencies_down;
mod waiting;
mod command_line;
mod disorder;
mod truth;
mod lies;
mod two_replicas;

use anyhow::{Context, Result};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::Value;
use system_tests::{Client, Reply, Slot};

/// The three resources that are read from the replica; the slot need not exist.
fn resources(slot: &Slot) -> [String; 3] {
    [
        "/parking-slots".to_owned(),
        "/parking-slots/summary".to_owned(),
        format!("/parking-slots/{}", slot.uuid),
    ]
}

/// The receipt of a command.
fn write_receipt(reply: &Reply) -> Result<String> {
    Ok(reply.header("write-receipt").context("no Write-Receipt")?.to_owned())
}

/// When the replica was complete, as an answer says.
fn as_of(reply: &Reply) -> Result<Timestamp> {
    Ok(reply.header("freshness-as-of").context("no Freshness-As-Of")?.parse()?)
}

/// What an answer says of what was demanded.
fn result(reply: &Reply) -> Result<&str> {
    reply.header("freshness-result").context("no Freshness-Result")
}

/// Creates a slot, with its receipt.
async fn created(client: &Client, name: &str) -> Result<(Slot, String)> {
    let reply = client.create(name).await?;
    let receipt = write_receipt(&reply)?;
    Ok((reply.slot(201)?, receipt))
}

/// Creates slots in one batch, with its receipt.
async fn created_together(client: &Client, names: &[&str]) -> Result<(Vec<Slot>, String)> {
    let body: Value = names.iter().map(|name| serde_json::json!({ "name": name })).collect();
    let reply = client.call(Method::POST, "/parking-slots/batch", Some(body)).await?;
    let receipt = write_receipt(&reply)?;
    let body = reply.expect(201)?.body;
    Ok((serde_json::from_value(body["items"].clone())?, receipt))
}
