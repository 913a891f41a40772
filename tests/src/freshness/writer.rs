//! Who writes: creates, batches, changes, deletes, changes that change nothing, and changes that are refused.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    book::{Book, Told},
    counting::SORTS,
    trial::Writing,
};
use crate::{
    client::{Client, Reply, Slot},
    random::Random,
};

/// Slots are given names of this many groups, and move between them.
pub(super) const GROUPS: usize = 8;

/// Commands on a slot are of one of this many youngest ones.
const HOT_SLOTS: usize = 60;

pub(super) struct Writer {
    pub(super) clients: Vec<Client>,
    pub(super) book: Book,
    pub(super) random: Random,
    pub(super) writing: Writing,
    pub(super) begun: Instant,
}

impl Writer {
    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<()> {
        while !stop.is_cancelled() {
            self.write().await?;
            let pause = self.pause();
            stop.run_until_cancelled(sleep(pause)).await;
        }
        Ok(())
    }

    /// Until the next command: a little, or until the silence is over in which watermarks are sent.
    fn pause(&mut self) -> Duration {
        let Writing { burst, silence, pause, .. } = self.writing;
        let millis = usize::try_from(pause.as_millis()).unwrap_or_default();
        let pause = Duration::from_millis(self.random.below(millis + 1) as u64);
        let period = (burst + silence).as_micros().max(1);
        let phase = (self.begun.elapsed() + pause).as_micros() % period;
        if phase < burst.as_micros() {
            return pause;
        }
        pause + Duration::from_micros(u64::try_from(period - phase).unwrap_or_default())
    }

    async fn write(&mut self) -> Result<()> {
        let choice = self.random.below(100);
        let hot = self.random.below(HOT_SLOTS.min(self.book.slot_count().max(1)));
        let slot = self.book.slot(hot);
        let crowded = self.book.slot_count() >= self.writing.slots_max;
        match slot {
            Some((uuid, _)) if choice < 8 || (crowded && choice < 40) => self.delete(uuid).await,
            Some((uuid, _)) if choice < 60 => self.change(uuid).await,
            Some((uuid, _)) if choice < 68 => self.change_nothing(uuid).await,
            Some((uuid, version)) if choice < 76 => self.change_of_another_version(uuid, version).await,
            _ if choice < 84 && self.writing.batch_max > 1 => self.create_batch().await,
            _ => self.create().await,
        }
    }

    fn client(&mut self) -> &Client {
        self.random.one_of(&self.clients)
    }

    fn fields(&mut self) -> Value {
        let (group, number) = (self.random.below(GROUPS), self.random.below(1_000_000));
        json!({ "name": format!("Bay {group} {number}"), "status": self.random.one_of(&SORTS) })
    }

    async fn create(&mut self) -> Result<()> {
        let fields = self.fields();
        let reply = self.client().call(Method::POST, "/parking-slots", Some(fields)).await?;
        let receipt = receipt_of(&reply)?;
        let slot = reply.slot(201)?;
        self.book.note(receipt, vec![(slot.uuid, Told::Version(slot.version))]);
        Ok(())
    }

    async fn create_batch(&mut self) -> Result<()> {
        let slots = 2 + self.random.below(self.writing.batch_max - 1);
        let fields: Vec<Value> = (0..slots).map(|_| self.fields()).collect();
        let reply = self.client().call(Method::POST, "/parking-slots/batch", Some(fields.into())).await?;
        let receipt = receipt_of(&reply)?;
        let body = reply.expect(201)?.body;
        ensure!(body["receipt"] == receipt.as_str(), "one receipt in the header, another in {body}");
        let slots: Vec<Slot> = serde_json::from_value(body["items"].clone())?;
        self.book.note(receipt, slots.iter().map(|slot| (slot.uuid, Told::Version(slot.version))).collect());
        Ok(())
    }

    async fn change(&mut self, uuid: Uuid) -> Result<()> {
        let fields = self.fields();
        let reply = self.client().change(uuid, fields).await?;
        self.note_slot(reply)
    }

    async fn change_nothing(&mut self, uuid: Uuid) -> Result<()> {
        let reply = self.client().change(uuid, json!({})).await?;
        self.note_slot(reply)
    }

    /// Somebody else may have deleted the slot.
    fn note_slot(&mut self, reply: Reply) -> Result<()> {
        if reply.status.as_u16() == 404 {
            return Ok(());
        }
        let receipt = receipt_of(&reply)?;
        let slot = reply.slot(200)?;
        self.book.note(receipt, vec![(slot.uuid, Told::Version(slot.version))]);
        Ok(())
    }

    async fn change_of_another_version(&mut self, uuid: Uuid, version: i64) -> Result<()> {
        let (path, other) = (format!("/parking-slots/{uuid}"), format!("\"{}\"", version + 1_000_000));
        let fields = self.fields();
        let reply = self.client().call_if_match(Method::PATCH, &path, Some(fields), &other).await?;
        match reply.status.as_u16() {
            404 => Ok(()),
            412 => {
                let version = reply.body["version"].as_i64().context("412 without the current version")?;
                self.book.note(receipt_of(&reply)?, vec![(uuid, Told::Version(version))]);
                Ok(())
            }
            status => bail!("{status}: {}", reply.body),
        }
    }

    async fn delete(&mut self, uuid: Uuid) -> Result<()> {
        let reply = self.client().delete(uuid).await?;
        match reply.status.as_u16() {
            404 => Ok(()),
            204 => {
                self.book.note(receipt_of(&reply)?, vec![(uuid, Told::Removed)]);
                Ok(())
            }
            status => bail!("{status}: {}", reply.body),
        }
    }
}

fn receipt_of(reply: &Reply) -> Result<String> {
    let receipt = reply.header("write-receipt");
    receipt.map(str::to_owned).with_context(|| format!("no Write-Receipt: {} {}", reply.status, reply.body))
}
