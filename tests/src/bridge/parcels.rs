//! What is on its way over a bridge.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use jiff::Timestamp;
use lapin::{BasicProperties, message::Delivery};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tokio::time::Instant;

use super::{AGAIN_AFTER, Crossings, Disorder, Seen};
use crate::random::Random;

const WATERMARK: &str = "parking.watermark";

/// An event or a watermark, with when it is due.
#[derive(Clone, Debug)]
struct Parcel {
    routing_key: String,
    json: Box<RawValue>,
    /// None for a watermark.
    position: Option<i64>,
    properties: BasicProperties,
    /// How many parcels had come before it.
    number: u64,
}

/// What leaves the bridge as one message.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) routing_key: String,
    parcels: Vec<Parcel>,
}

/// Parcels, by when they are due. Those that are held have no such time.
#[derive(Debug)]
pub(super) struct OnTheWay {
    disorder: Disorder,
    random: Random,
    due: BTreeMap<(Instant, u64), Parcel>,
    held: Vec<Parcel>,
    next_number: u64,
    furthest: i64,
}

/// What the bridge has to know of an event.
#[derive(Deserialize)]
struct Event<'a> {
    sequence: &'a str,
    time: Timestamp,
}

impl OnTheWay {
    pub(super) fn new(disorder: Disorder, seed: u64) -> Self {
        let random = Random::new(seed ^ 0xb51d_6e00);
        Self { disorder, random, due: BTreeMap::new(), held: Vec::new(), next_number: 0, furthest: 0 }
    }

    /// When the next parcel is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.keys().next().map(|(due, _)| *due)
    }

    /// Takes a message apart; which events it held.
    pub(super) fn take(
        &mut self,
        delivery: &Delivery,
        held: Option<&(dyn Fn(i64) -> bool + Send + Sync)>,
    ) -> Result<Vec<Seen>> {
        let key = delivery.routing_key.as_str();
        if key == WATERMARK {
            self.take_watermark(delivery)?;
            return Ok(Vec::new());
        }
        let events: Vec<Box<RawValue>> =
            serde_json::from_slice(&delivery.data).with_context(|| format!("no array of events as {key}"))?;
        let mut taken = Vec::with_capacity(events.len());
        for json in events {
            let event: Event<'_> = serde_json::from_str(json.get()).context("no event on the bridge")?;
            let (position, committed_at) = (event.sequence.parse()?, Some(event.time));
            let parcel = self.parcel(key, json, Some(position), delivery);
            if held.is_some_and(|held| held(position)) {
                self.held.push(parcel);
            } else {
                self.post(parcel);
            }
            taken.push(Seen { position, committed_at });
        }
        Ok(taken)
    }

    fn take_watermark(&mut self, delivery: &Delivery) -> Result<()> {
        let mut watermark: Value = serde_json::from_slice(&delivery.data).context("no watermark")?;
        if let Some(lie) = self.disorder.watermark_position {
            watermark["position"] = lie.into();
        }
        let json = RawValue::from_string(watermark.to_string())?;
        let parcel = self.parcel(WATERMARK, json, None, delivery);
        let due = Instant::now() + self.disorder.delay_of_watermark(&mut self.random);
        if self.disorder.again(&mut self.random) {
            let later = due + self.disorder.delay_of_watermark(&mut self.random);
            self.due.insert((later, parcel.number), parcel.clone());
        }
        self.due.insert((due, parcel.number), parcel);
        Ok(())
    }

    fn parcel(
        &mut self,
        key: &str,
        json: Box<RawValue>,
        position: Option<i64>,
        delivery: &Delivery,
    ) -> Parcel {
        self.next_number += 1;
        Parcel {
            routing_key: key.to_owned(),
            json,
            position,
            properties: delivery.properties.clone(),
            number: self.next_number,
        }
    }

    fn post(&mut self, parcel: Parcel) {
        let due = Instant::now() + self.disorder.delay_of_event(&mut self.random);
        self.due.insert((due, parcel.number), parcel);
    }

    /// Keeps only what is to be held from now on, among what was held.
    pub(super) fn hold_again(&mut self, held: Option<&(dyn Fn(i64) -> bool + Send + Sync)>) {
        for parcel in std::mem::take(&mut self.held) {
            match (held, parcel.position) {
                (Some(held), Some(position)) if held(position) => self.held.push(parcel),
                _ => self.post(parcel),
            }
        }
    }

    /// Puts what is due into messages of one kind each, in an order of chance.
    pub(super) fn due(&mut self) -> Vec<Message> {
        let later = self.due.split_off(&(Instant::now(), u64::MAX));
        let mut parcels: Vec<Parcel> = std::mem::replace(&mut self.due, later).into_values().collect();
        if self.disorder.usual > std::time::Duration::ZERO {
            for place in (1..parcels.len()).rev() {
                parcels.swap(place, self.random.below(place + 1));
            }
        }
        let mut messages: Vec<Message> = Vec::new();
        let mut room = 0;
        for parcel in parcels {
            match messages.last_mut() {
                Some(open) if room > 0 && open.takes(&parcel) => {
                    room -= 1;
                    open.parcels.push(parcel);
                }
                _ => {
                    room = self.random.below(self.disorder.message_max_events);
                    messages.push(Message { routing_key: parcel.routing_key.clone(), parcels: vec![parcel] });
                }
            }
        }
        // Within a message positions rise, as the format has it.
        for message in &mut messages {
            message.parcels.sort_by_key(|parcel| parcel.position);
        }
        messages
    }

    /// Counts a message that has left, and sends some of its events once more.
    pub(super) fn left(&mut self, message: &Message, crossings: &mut Crossings) {
        if message.is_watermark() {
            crossings.watermarks += 1;
            let number = message.parcels.iter().map(|parcel| parcel.number).max().unwrap_or_default();
            let mut behind = self.due.values().chain(&self.held);
            let overtaken = |parcel: &Parcel| {
                parcel.number < number
                    && parcel.position.is_some_and(|position| !crossings.delivered.contains(&position))
            };
            crossings.overtaking += usize::from(behind.any(overtaken));
            return;
        }
        crossings.messages += 1;
        for parcel in &message.parcels {
            let Some(position) = parcel.position else { continue };
            if !crossings.delivered.insert(position) {
                crossings.duplicates += 1;
                continue;
            }
            crossings.inversions += usize::from(position < self.furthest);
            self.furthest = self.furthest.max(position);
            if self.disorder.again(&mut self.random) {
                self.post(parcel.clone());
            }
        }
    }

    /// Puts a message that no queue took back on its way.
    pub(super) fn try_again(&mut self, message: Message) {
        for parcel in message.parcels {
            self.due.insert((Instant::now() + AGAIN_AFTER, parcel.number), parcel);
        }
    }
}

impl Message {
    /// Whether this parcel may be in it: an event of its kind, and not the same one again.
    fn takes(&self, parcel: &Parcel) -> bool {
        parcel.position.is_some()
            && parcel.routing_key == self.routing_key
            && self.parcels.iter().all(|other| other.position != parcel.position)
    }

    pub(super) fn is_watermark(&self) -> bool {
        self.routing_key == WATERMARK
    }

    /// A watermark as it was; events as an array.
    pub(super) fn body(&self) -> Vec<u8> {
        let jsons: Vec<&str> = self.parcels.iter().map(|parcel| parcel.json.get()).collect();
        if self.is_watermark() { jsons.concat() } else { format!("[{}]", jsons.join(",")) }.into_bytes()
    }

    /// Those of the first event's message, with the identity that this one would have.
    pub(super) fn properties(&self) -> BasicProperties {
        let properties = self.parcels[0].properties.clone();
        let positions = || self.parcels.iter().filter_map(|parcel| parcel.position);
        match (positions().min(), positions().max()) {
            (Some(first), Some(last)) => {
                properties.with_message_id(format!("{first}-{last}/{}", self.parcels.len()).into())
            }
            _ => properties,
        }
    }
}
