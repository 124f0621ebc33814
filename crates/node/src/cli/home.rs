//! `init` and `id`.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use allod::{Home, HomeConfig, KeySource, Node, NodeError, make_key_file, random, read_key_file};
use allod_identity::{DeviceId, Keystore, SecretKey};
use anyhow::{Context as _, Result};
use bytes::Bytes;
use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::Usage;
use crate::cli::args::{IdCommand, Init};
use crate::cli::io::Io;

/// The first line of a key log in a file.
const KEY_LOG_HEADER: &str = "allod-keylog 1";

/// The largest key log file that is read, in bytes: a thousand events.
const KEY_LOG_FILE_BYTES_MAX: u64 = 1 << 20;

/// The least that a passphrase may have, in characters.
const PASSPHRASE_CHARS_MIN: usize = 8;

pub(crate) fn init(home: &Home, init: &Init, io: &mut Io<'_>) -> Result<()> {
    if home.exists() {
        return Err(NodeError::HomeExists(home.path().to_owned()).into());
    }
    let (source, secret) = match &init.key_file {
        Some(path) => {
            let path = std::path::absolute(io.path(path))?;
            let secret = make_key_file(&path)?;
            (KeySource::File(path), secret)
        }
        None => (KeySource::Passphrase, new_passphrase()?),
    };
    let seed = || random().map(SecretKey::from_seed);
    let keys = Keystore {
        agent: if init.device_only {
            None
        } else {
            Some(seed()?)
        },
        next_agent: if init.device_only {
            None
        } else {
            Some(seed()?)
        },
        device: seed()?,
    };
    let device = keys.device.device_id();
    let agent = keys.agent.as_ref().map(SecretKey::agent_id);
    let name = init.device_name.clone();
    let mut config = HomeConfig::new(init.store.into(), source, device, name, agent);
    config.compression = init.compression;
    home.create(&config, &keys, &secret)?;
    let node = Node::open(home.clone(), Some(keys))?;
    if agent.is_some() {
        node.begin_log(&init.device_name)?;
    }
    io.data(
        &json!({
            "home": home.path(),
            "device": device.to_string(),
            "agent": agent.map(|agent| agent.to_string()),
        }),
        || format!("home    {}", home.path().display()),
    )?;
    if !io.json {
        show(&node, io)?;
    }
    if agent.is_none() {
        io.say(format!(
            "next: on a device of the agent run `allod id add-device {device} --out FILE`,\n      \
             then here `allod id adopt FILE`"
        ))?;
    } else {
        io.say("next: `allod space new NAME`, or `allod space join TICKET`")?;
    }
    Ok(())
}

/// The secret that opens the keys of a home.
pub(crate) fn secret(source: &KeySource) -> Result<Zeroizing<Vec<u8>>> {
    match source {
        KeySource::File(path) => Ok(read_key_file(path)?),
        _ => {
            if let Some(passphrase) = std::env::var_os("ALLOD_PASSPHRASE") {
                return Ok(Zeroizing::new(passphrase.into_encoded_bytes()));
            }
            let typed = rpassword::prompt_password("Passphrase: ")
                .map_err(|_error| NodeError::NoPassphrase)?;
            Ok(Zeroizing::new(typed.into_bytes()))
        }
    }
}

fn new_passphrase() -> Result<Zeroizing<Vec<u8>>> {
    if let Some(passphrase) = std::env::var_os("ALLOD_PASSPHRASE") {
        return check_passphrase(Zeroizing::new(passphrase.into_encoded_bytes()));
    }
    let ask = |prompt: &str| -> Result<Zeroizing<Vec<u8>>> {
        let typed = rpassword::prompt_password(prompt).context(
            "no terminal to ask for a passphrase; set ALLOD_PASSPHRASE or use --key-file FILE",
        )?;
        Ok(Zeroizing::new(typed.into_bytes()))
    };
    let first = check_passphrase(ask("New passphrase: ")?)?;
    if *first != *ask("The same again: ")? {
        anyhow::bail!("the two passphrases differ; nothing was made");
    }
    Ok(first)
}

fn check_passphrase(passphrase: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>> {
    if passphrase.len() < PASSPHRASE_CHARS_MIN {
        anyhow::bail!("a passphrase has at least {PASSPHRASE_CHARS_MIN} characters");
    }
    Ok(passphrase)
}

pub(crate) fn id(node: &Node, command: Option<&IdCommand>, io: &mut Io<'_>) -> Result<()> {
    match command {
        None => show(node, io),
        Some(IdCommand::AddDevice { device, name, out }) => {
            let device: DeviceId = device
                .parse()
                .map_err(|error| Usage(format!("{device} is no device: {error}")))?;
            let known = node.agents().key_log(&node.agent()?)?;
            // Written out once more, if it was lost on the way.
            let log = if known.is_device(&device) {
                io.say("the key log has the device already")?;
                known
            } else {
                Arc::new(node.add_device(device, name)?)
            };
            let mut text = format!("{KEY_LOG_HEADER}\n{}\n", log.agent());
            for event in log.known() {
                text += &event
                    .bytes()
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect::<String>();
                text.push('\n');
            }
            match out {
                Some(path) => {
                    let path = io.path(path);
                    fs::write(&path, text).with_context(|| path.display().to_string())?;
                    io.say(format!("key log written to {}", path.display()))
                }
                None => Ok(io.out.write_all(text.as_bytes())?),
            }
        }
        Some(IdCommand::Adopt { file }) => {
            let path = io.path(file);
            let (agent, events) = read_key_log(&path)?;
            node.adopt(agent, &events)
                .context("the key log does not make this device act for its agent")?;
            io.say("this device acts for its agent now")?;
            show(node, io)
        }
    }
}

fn read_key_log(path: &Path) -> Result<(allod_identity::AgentId, Vec<Bytes>)> {
    let size = fs::metadata(path)
        .with_context(|| path.display().to_string())?
        .len();
    anyhow::ensure!(
        size <= KEY_LOG_FILE_BYTES_MAX,
        "{} is no key log",
        path.display()
    );
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut lines = text.lines();
    let malformed = || format!("{} is no key log", path.display());
    anyhow::ensure!(lines.next() == Some(KEY_LOG_HEADER), malformed());
    let agent = lines
        .next()
        .and_then(|line| line.parse().ok())
        .with_context(malformed)?;
    let events = lines
        .map(unhex)
        .collect::<Option<Vec<Bytes>>>()
        .with_context(malformed)?;
    Ok((agent, events))
}

fn unhex(line: &str) -> Option<Bytes> {
    let digits = line.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks_exact(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

fn show(node: &Node, io: &mut Io<'_>) -> Result<()> {
    let device = node.device()?;
    let config = node.config();
    let agent = node.agent().ok();
    let mut devices = Vec::new();
    if let Some(agent) = &agent {
        for (id, device) in node.agents().key_log(agent)?.devices() {
            devices.push((id.to_string(), device.name.clone(), allod::utc(device.at)));
        }
    }
    let value = json!({
        "agent": config.agent,
        "device": device.to_string(),
        "device_name": config.device_name,
        "devices": devices.iter().map(|(id, name, at)| json!({ "id": id, "name": name, "added": at }))
            .collect::<Vec<_>>(),
    });
    io.data(&value, || {
        let agent = config.agent.as_deref().unwrap_or("none yet");
        let mut text = format!("agent   {agent}\ndevice  {device} ({})", config.device_name);
        for (id, name, at) in &devices {
            if *id != device.to_string() {
                text += &format!("\n        {id} ({name}, added {at})");
            }
        }
        text
    })
}
