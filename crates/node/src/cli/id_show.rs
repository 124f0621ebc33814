//! `id show`.

use allod::Node;
use allod_identity::{DeviceId, Equivocation, Event, KeyEvent, KeyLog, Verified};
use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::guardians;
use crate::cli::io::Io;

/// An event in a line.
fn event_json(event: &Verified<KeyEvent>) -> Value {
    let said = event.payload();
    let (kind, at, what) = match &said.event {
        Event::Inception { .. } => ("inception", None, None),
        Event::AddDevice { device, name, at } => {
            ("add-device", Some(*at), Some(format!("{name} {device}")))
        }
        Event::RemoveDevice { device, at } => {
            ("remove-device", Some(*at), Some(device.to_string()))
        }
        Event::Rotate { at, .. } => ("rotate", Some(*at), Some(event.signer().to_string())),
        Event::Recover { at, .. } => ("recover", Some(*at), Some(event.signer().to_string())),
        _ => ("unknown", None, None),
    };
    json!({
        "event": event.cid().to_string(),
        "position": said.seq,
        "kind": kind,
        "at": at.map(allod::utc),
        "what": what,
        "after": said.prev.map(|prev| prev.to_string()),
    })
}

fn event_text(event: &Verified<KeyEvent>) -> String {
    let shown = event_json(event);
    let text = |name: &str| shown[name].as_str().unwrap_or_default().to_owned();
    format!(
        "  {}  {} {} {} {}",
        event.cid(),
        shown["position"],
        text("kind"),
        text("what"),
        text("at")
    )
}

pub(crate) fn guardians_json(log: &KeyLog) -> Value {
    match log.guardians() {
        None => Value::Null,
        Some((named, guardians)) => json!({
            "keys": guardians.keys.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "needed": guardians.needed,
            "wait_ms": guardians.wait,
            "named": named.to_string(),
        }),
    }
}

/// Which keys of the agent are in this home; nothing is known of that while they are locked.
struct Held {
    /// Whether the agent's key is.
    key: Option<bool>,
    /// Whether the secret of the next keys is.
    chain: Option<bool>,
    /// How often that can change the key.
    left: Option<u32>,
}

impl Held {
    fn of(node: &Node, log: &KeyLog) -> Result<Self> {
        if !node.has_keys() {
            let (key, chain, left) = (None, None, None);
            return Ok(Self { key, chain, left });
        }
        let (chain, left) = node.chain_left(log)?;
        Ok(Self {
            key: Some(node.agent_key(log).is_ok()),
            chain: Some(chain),
            left,
        })
    }

    fn text(&self) -> String {
        match (self.key, self.chain) {
            (Some(true), Some(false)) => {
                "\nthe agent's key is here, the secret of the next keys is not: it is in the \
                recovery kit"
                    .to_owned()
            }
            (Some(_), Some(true)) => {
                let left = self.left.map_or_else(String::new, |left| {
                    format!("; {left} changes of the key are left")
                });
                format!(
                    "\nthe secret of the next keys is in this home, beside the key{left}; better kept elsewhere:\n        \
                     `allod id export --paper --remove`"
                )
            }
            _ => String::new(),
        }
    }
}

/// Shows who this home is.
pub(crate) fn show(node: &Node, io: &mut Io<'_>) -> Result<()> {
    let device = node.device()?;
    let name = node.config().device_name;
    if node.agent().is_err() {
        let value = json!({
            "agent": null, "device": device.to_string(), "device_name": name, "devices": [],
        });
        return io.data(&value, || {
            format!("agent   none yet\ndevice  {device} ({name})")
        });
    }
    let log = node.own_log()?;
    let held = Held::of(node, &log)?;
    let value = shown_json(&log, &held, (device, &name));
    io.data(&value, || shown_text(&log, &held, (device, &name)))
}

/// What is known of the agent and is no part of its log.
fn beside(log: &KeyLog) -> Vec<&Verified<KeyEvent>> {
    log.known().skip(log.events().len()).collect()
}

fn shown_json(log: &KeyLog, held: &Held, (device, name): (DeviceId, &str)) -> Value {
    let devices = log.devices().map(|(id, device)| {
        json!({ "id": id.to_string(), "name": device.name, "added": allod::utc(device.at) })
    });
    let beside = beside(log);
    json!({
        "agent": log.agent().to_string(),
        "fingerprint": log.agent().key().fingerprint(),
        "key": log.key().map(ToString::to_string),
        "key_here": held.key,
        "chain_here": held.chain,
        "rotations_left": held.left,
        "recoveries": log.number().0,
        "rotations": log.number().1,
        "device": device.to_string(),
        "device_name": name,
        "acts": log.is_device(&device),
        "devices": devices.collect::<Vec<_>>(),
        "guardians": guardians_json(log),
        "frozen": log.equivocation().map(Equivocation::seq),
        "beside": beside.into_iter().map(event_json).collect::<Vec<_>>(),
    })
}

fn shown_text(log: &KeyLog, held: &Held, (device, name): (DeviceId, &str)) -> String {
    let agent = log.agent();
    let mut text = format!("agent   {agent}  ({})", agent.key().fingerprint());
    if let Some(key) = log.key().filter(|key| *key != agent.key()) {
        text += &format!("\nkey     {key}");
    }
    text += &format!("\ndevice  {device} ({name})");
    for (id, other) in log.devices().filter(|(id, _)| **id != device) {
        let added = allod::utc(other.at);
        text += &format!("\n        {id} ({}, added {added})", other.name);
    }
    if !log.is_device(&device) {
        text += "\n        this device does not act for the agent: the key log does not have it, or not any more";
    }
    if let Some((_, guardians)) = log.guardians() {
        let (needed, count) = (guardians.needed, guardians.keys.len());
        let wait = guardians::wait_text(guardians.wait);
        text += &format!("\nguardians: {needed} of {count}, who wait {wait}");
        let keys = guardians.keys.iter();
        text.extend(keys.map(|key| format!("\n        {key}")));
    }
    text += &held.text();
    if let Some(proof) = log.equivocation() {
        text += &frozen_text(proof.seq(), &beside(log));
    }
    text
}

fn frozen_text(seq: u64, beside: &[&Verified<KeyEvent>]) -> String {
    let mut text = format!(
        "\n\nFROZEN: from position {seq} on the key log says two things that contradict each other, so no key and no new \
         device of\nthis agent is believed by anybody. Either two homes had the agent's key and both used it, or somebody \
         else has it.\nThe events on both sides:"
    );
    for event in beside {
        text += &format!("\n{}", event_text(event));
    }
    text += "\n`allod id rotate` gives the agent its next key and lets what this home said last count; \
             `--after EVENT` chooses another\nside. What is not on the side chosen does not count any more.";
    text
}
