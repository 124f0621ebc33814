//! `id`: who this is, its key, its kit.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use allod::{KitLogs, LogEnd, Node, Rotation, utc};
use allod_blocks::Cid;
use allod_identity::{AgentId, DeviceId, DidDocument, KeyLog, Kit, PublicKey};
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::id_args::{Chain, DeviceCommand, Export, IdCommand, Import, Rotate};
use crate::cli::id_show::show;
use crate::cli::io::Io;
use crate::cli::{Usage, guardians, pair, qr, recover};

/// The first line of a key log in a file.
const KEY_LOG_HEADER: &str = "allod-keylog 1";

/// The first line of a recovery kit in a file.
const KIT_HEADER: &str = "allod-kit 1";

/// The largest key log or kit that is read from a file, in bytes: a thousand events.
const FILE_BYTES_MAX: u64 = 2 << 20;

pub(crate) fn id(node: &Node, command: Option<&IdCommand>, io: &mut Io<'_>) -> Result<()> {
    match command {
        Some(IdCommand::Show { did: true }) => {
            let document = DidDocument::of(&*node.own_log()?, Vec::new())?;
            io.line(serde_json::to_string_pretty(&document)?)
        }
        None | Some(IdCommand::Show { .. }) => show(node, io),
        Some(IdCommand::Device { command }) => match command {
            DeviceCommand::List => devices(node, io),
            DeviceCommand::Add(options) => pair::add(node, options, io),
            DeviceCommand::Remove { device, stolen } => remove(node, device, !stolen, io),
        },
        Some(IdCommand::Join(options)) => pair::join(node, options, io),
        Some(IdCommand::Rotate(options)) => rotate(node, options, io),
        Some(IdCommand::Export(options)) => export(node, options, io),
        Some(IdCommand::Import(options)) => import(node, options, io),
        Some(IdCommand::Log { agent, out }) => {
            let agent = agent_named(node, agent.as_deref())?;
            let log = node.agents().key_log(&agent)?;
            if log.head().is_none() {
                bail!(allod::IdentityError::NoLog(agent));
            }
            write_key_log(&log, out.as_deref(), io)
        }
        Some(IdCommand::Learn { file }) => learn_log(node, Some(file), io),
        Some(IdCommand::Guardians { command }) => guardians::guardians(node, command, io),
        Some(IdCommand::Recover { command }) => recover::recover(node, command, io),
        Some(IdCommand::AddDevice { device, name, out }) => {
            let device: DeviceId = device
                .parse()
                .map_err(|error| Usage(format!("{device} is no device: {error}")))?;
            let known = node.own_log()?;
            // Written out once more, if it was lost on the way.
            let log = if known.is_device(&device) {
                io.say("the key log has the device already")?;
                known
            } else {
                Arc::new(node.add_device(device, name)?)
            };
            write_key_log(&log, out.as_deref(), io)
        }
        Some(IdCommand::Adopt { file }) => {
            let (agent, events) = read_key_log(&io.path(file))?;
            node.adopt(agent, &events)
                .context("the key log does not make this device act for its agent")?;
            io.say("this device acts for its agent now")?;
            show(node, io)
        }
    }
}

/// The agent of a text, or that of this home.
pub(crate) fn agent_named(node: &Node, text: Option<&str>) -> Result<AgentId> {
    match text {
        None => Ok(node.agent()?),
        Some(text) => {
            let agent = text.parse();
            Ok(agent.map_err(|error| Usage(format!("{text} is no agent: {error}")))?)
        }
    }
}

/// The event of a log that a text names: its CID, or the end of that.
pub(crate) fn event_named(log: &KeyLog, text: &str) -> Result<Cid> {
    let mut found = log.known().map(|event| *event.cid()).filter(|cid| {
        let cid = cid.to_string();
        cid == text || (text.len() >= 4 && cid.ends_with(text))
    });
    match (found.next(), found.next()) {
        (Some(cid), None) => Ok(cid),
        (None, _) => bail!(allod::IdentityError::NoEvent(text.to_owned())),
        _ => Err(Usage(format!(
            "{text:?} means more than one event; give more of it"
        ))
        .into()),
    }
}

/// The secret that seals the keys of this home.
pub(crate) fn home_secret<'a>(io: &'a Io<'_>) -> Result<&'a [u8]> {
    let secret = io.secret.as_ref();
    let secret = secret.context("the node speaks another control protocol; restart it")?;
    Ok(secret)
}

/// Asks the person something; what was typed, or nothing at the end of input.
pub(crate) fn ask(question: &str, io: &mut Io<'_>) -> Result<Zeroizing<String>> {
    write!(io.err, "{question} ")?;
    io.err.flush()?;
    read_line(io)
}

/// Whether the person says yes.
pub(crate) fn asks_yes(question: &str, io: &mut Io<'_>) -> Result<bool> {
    let answer = ask(&format!("{question} [y/N]"), io)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// A line of standard input, and not a byte of what follows it.
fn read_line(io: &mut Io<'_>) -> Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(Vec::with_capacity(4096));
    let mut byte = Zeroizing::new([0]);
    while line.len() < 4096 && io.input.read(&mut byte[..])? == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    let line = std::str::from_utf8(&line).context("what was typed is no text")?;
    Ok(Zeroizing::new(line.to_owned()))
}

fn key_log_text(log: &KeyLog) -> String {
    let mut text = format!("{KEY_LOG_HEADER}\n{}\n", log.agent());
    for event in log.known() {
        text.extend(event.bytes().iter().map(|byte| format!("{byte:02x}")));
        text.push('\n');
    }
    text
}

fn write_key_log(log: &KeyLog, out: Option<&Path>, io: &mut Io<'_>) -> Result<()> {
    let text = key_log_text(log);
    match out {
        Some(path) => {
            let path = io.path(path);
            fs::write(&path, text).with_context(|| path.display().to_string())?;
            io.say(format!("key log written to {}", path.display()))
        }
        None => Ok(io.out.write_all(text.as_bytes())?),
    }
}

/// Whose log a file has, and its events.
type KeyLogFile = (AgentId, Vec<Bytes>);

/// Reads a key log from a file.
pub(crate) fn read_key_log(path: &Path) -> Result<KeyLogFile> {
    let size = fs::metadata(path)
        .with_context(|| path.display().to_string())?
        .len();
    let malformed = || format!("{} is no key log", path.display());
    anyhow::ensure!(size <= FILE_BYTES_MAX, malformed());
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    parse_key_log(&text).with_context(malformed)
}

fn parse_key_log(text: &str) -> Option<KeyLogFile> {
    let mut lines = text.lines();
    if lines.next() != Some(KEY_LOG_HEADER) {
        return None;
    }
    let agent = lines.next()?.parse().ok()?;
    let events = lines.map(unhex).collect::<Option<Vec<Bytes>>>()?;
    Some((agent, events))
}

/// Takes in a key log from a file, if one is given.
pub(crate) fn learn_log(node: &Node, file: Option<&Path>, io: &Io<'_>) -> Result<()> {
    if let Some(file) = file {
        let (agent, events) = read_key_log(&io.path(file))?;
        node.learn_log(&agent, &events)?;
    }
    Ok(())
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

fn devices(node: &Node, io: &mut Io<'_>) -> Result<()> {
    let here = node.device()?;
    let log = node.own_log()?;
    for (id, device) in log.devices() {
        let added = utc(device.at);
        let value = json!({ "device": id.to_string(), "name": device.name, "added": added, "here": *id == here });
        let mark = if *id == here { '*' } else { ' ' };
        io.data(&value, || {
            format!("{mark} {}  {id}  added {added}", device.name)
        })?;
    }
    Ok(())
}

fn remove(node: &Node, name: &str, keeps: bool, io: &mut Io<'_>) -> Result<()> {
    let device = node.find_device(name)?;
    let unkept = node.remove_device(device, keeps)?;
    let value = json!({ "removed": device.to_string(), "unkept": unkept });
    io.data(&value, || {
        format!("{device} acts for this agent no longer; peers hear of it in their next session")
    })?;
    for what in &unkept {
        io.warn(format!(
            "not kept, so what only the device signed is set aside there: {what}"
        ))?;
    }
    Ok(())
}

/// The secret of the chain that options give, if they do.
pub(crate) fn chain_of(
    node: &Node,
    chain: &Chain,
    io: &mut Io<'_>,
) -> Result<Option<allod_identity::SecretKey>> {
    let Some(path) = &chain.kit else {
        return Ok(None);
    };
    let (kit, _) = read_kit(Some(path), io)?;
    if kit.agent != node.agent()? {
        bail!(allod::IdentityError::OtherAgent(Box::new(kit.agent)));
    }
    Ok(Some(kit.secret))
}

fn rotate(node: &Node, options: &Rotate, io: &mut Io<'_>) -> Result<()> {
    let log = node.own_log()?;
    let after = options.after.as_deref();
    let after = after.map(|text| event_named(&log, text)).transpose()?;
    let chain = chain_of(node, &options.chain, io)?;
    let how = Rotation {
        after,
        chain,
        ..Rotation::default()
    };
    let before = log.key().copied();
    let log = node.rotate(home_secret(io)?, how)?;
    said_key(node, &log, io)?;
    warn_guarded(node, &log, before, io)
}

/// Warns if the key before is not found here any more, by which others may have named this agent as a guardian.
pub(crate) fn warn_guarded(
    node: &Node,
    log: &KeyLog,
    before: Option<PublicKey>,
    io: &mut Io<'_>,
) -> Result<()> {
    // A key of the chain that is here is found again, but for the first, which is no part of it.
    let is_kept = node.chain_left(log)?.0;
    match before.filter(|key| !is_kept || key == log.agent().key()) {
        None => Ok(()),
        Some(before) => io.warn(format!(
            "who named {before} as a guardian has to name you anew, best by the key of this device, which stays: {}",
            node.device()?
        )),
    }
}

/// The devices that act for the agent, but this one.
pub(crate) fn others(node: &Node, log: &KeyLog) -> Result<Vec<(DeviceId, String)>> {
    let here = node.device()?;
    let devices = log.devices().filter(|(id, _)| **id != here);
    Ok(devices
        .map(|(id, device)| (*id, device.name.clone()))
        .collect())
}

/// Says who can still do what once the agent has another key.
pub(crate) fn say_who_acts(node: &Node, log: &KeyLog, io: &mut Io<'_>) -> Result<()> {
    let others = others(node, log)?;
    if others.is_empty() {
        io.say("no other device acts for this agent")?;
    } else {
        io.say(
            "these devices still act for this agent, whoever has them; remove what is lost or in other hands:",
        )?;
    }
    for (id, name) in others {
        io.say(format!("  allod id device remove {id}   # {name}"))?;
    }
    io.say(
        "whoever has the recovery kit, or a home that held the secret of the next keys, can still go on as this agent; only \
         guardians end that, with a recovery",
    )
}

/// Says that the agent has another key.
pub(crate) fn said_key(node: &Node, log: &KeyLog, io: &mut Io<'_>) -> Result<()> {
    let key = log.key().context("the key log contradicts itself still")?;
    let (recoveries, rotations) = log.number();
    let value = json!({
        "agent": log.agent().to_string(), "key": key.to_string(), "recoveries": recoveries, "rotations": rotations,
        "others": others_json(node, log)?,
    });
    io.data(&value, || {
        format!("the key of this agent is {key} now, and the one before it is not any more")
    })?;
    say_who_acts(node, log, io)
}

/// The devices that act for the agent, but this one.
pub(crate) fn others_json(node: &Node, log: &KeyLog) -> Result<Vec<serde_json::Value>> {
    let others = others(node, log)?.into_iter();
    Ok(others
        .map(|(id, name)| json!({ "device": id.to_string(), "name": name }))
        .collect())
}

fn export(node: &Node, options: &Export, io: &mut Io<'_>) -> Result<()> {
    let kit = node.kit()?;
    let text = kit.to_text();
    if let Some(path) = &options.kit {
        let path = io.path(path);
        let log = key_log_text(&*node.own_log()?);
        let content = Zeroizing::new(format!("{KIT_HEADER}\n{}\n{log}", text.as_str()));
        let mut file = fs::OpenOptions::new();
        let file = file.write(true).create_new(true).mode(0o600).open(&path);
        let mut file = file.with_context(|| path.display().to_string())?;
        let written = file
            .write_all(content.as_bytes())
            .and_then(|()| file.sync_all())
            // The name of the file as well, before the secret leaves this home.
            .and_then(|()| fs::File::open(path.parent().unwrap_or(&path))?.sync_all());
        written.with_context(|| path.display().to_string())?;
        io.say(format!(
            "recovery kit written to {}: whoever has it is this agent",
            path.display()
        ))?;
    }
    if options.paper {
        if io.json {
            // Neither has a character that JSON spells otherwise; and a value would leave a copy behind.
            let (agent, text) = (kit.agent, text.as_str());
            writeln!(io.out, r#"{{"agent":"{agent}","kit":"{text}"}}"#)?;
        } else {
            io.line(text.as_str())?;
        }
        if !options.no_qr && !io.json && !io.quiet {
            // Standard error, like all that is for eyes alone.
            if let Some(image) = qr::drawn(&text, io.live).map(Zeroizing::new) {
                io.say(image.as_str())?;
            }
        }
        io.say("write it down, and check it with `allod id export --paper` before you rely on it; whoever has it is this agent")?;
    }
    if options.remove {
        let typed = ask(
            "Type the last four characters of the kit as you have it elsewhere:",
            io,
        )?;
        let end = text.get(text.len().saturating_sub(4)..).unwrap_or_default();
        if !typed.trim().eq_ignore_ascii_case(end) {
            bail!("these are not the last four characters; the secret stays in this home");
        }
        node.remove_chain(home_secret(io)?)?;
        io.say("the secret of the next keys is out of this home; `allod id rotate --kit FILE` needs it from now on")?;
    }
    Ok(())
}

/// A kit from a file or from standard input, with the key log that the file has.
fn read_kit(path: Option<&Path>, io: &mut Io<'_>) -> Result<(Kit, Option<KeyLogFile>)> {
    let text = match path {
        Some(path) if path != Path::new("-") => {
            let path = io.path(path);
            let mut file = fs::File::open(&path).with_context(|| path.display().to_string())?;
            let size = file.metadata()?.len();
            anyhow::ensure!(
                size <= FILE_BYTES_MAX,
                "{} is no recovery kit",
                path.display()
            );
            let mut text = Zeroizing::new(String::with_capacity(size as usize + 1));
            file.read_to_string(&mut text)
                .with_context(|| path.display().to_string())?;
            text
        }
        _ => ask("Recovery kit:", io)?,
    };
    let (line, log) = match text.strip_prefix(KIT_HEADER) {
        None => (text.as_str(), None),
        Some(rest) => {
            let rest = rest.trim_start();
            let (line, log) = rest.split_once('\n').unwrap_or((rest, ""));
            (line, parse_key_log(log))
        }
    };
    Ok((line.trim().parse()?, log))
}

fn import(node: &Node, options: &Import, io: &mut Io<'_>) -> Result<()> {
    let (kit, with_kit) = read_kit(options.kit.as_deref(), io)?;
    let agent = kit.agent;
    learn_log(node, options.log.as_deref(), io)?;
    let events = with_kit
        .filter(|(of, _)| *of == agent)
        .map(|(_, events)| events);
    let events = events.unwrap_or_default();
    is_old(&node.kit_logs(&agent, &events)?, (&agent, options.yes), io)?;
    node.restore(home_secret(io)?, kit, &events)?;
    io.say("this home has the agent's key now; the kit stays good")?;
    say_who_acts(node, &*node.own_log()?, io)?;
    io.say("its spaces come with `allod space join TICKET`, from another device of the agent or from a friend's")?;
    show(node, io)
}

/// Tells what the new key goes on from, and asks where nobody here can tell whether that is old (IDENT-50).
fn is_old(logs: &KitLogs, (agent, is_yes): (&AgentId, bool), io: &mut Io<'_>) -> Result<()> {
    let end = |log: &LogEnd| {
        let count = log.events;
        let events = if count == 1 { "event" } else { "events" };
        match log.at {
            Some(at) => format!("{count} {events} of the key log, the last from {}", utc(at)),
            None => format!("{count} {events} of the key log"),
        }
    };
    if let Some(from) = logs.frozen {
        io.warn(format!(
            "what is known of the key log contradicts itself from position {from} on; what this home knew before the kit counts, \
             if it did not contradict itself, and else nothing from there on: `allod id show` tells what happened"
        ))?;
    }
    let (with_kit, here) = match (logs.with_kit, logs.here) {
        (Some(with_kit), here) => (with_kit, here),
        (None, Some(here)) => return io.say(format!("the new key goes on from {}", end(&here))),
        // There is none at all, which is told by whoever needs it.
        (None, None) => return Ok(()),
    };
    if let Some(here) = here.filter(|_| logs.is_newer_here) {
        return io.say(format!(
            "the kit knows {}; here is known {}: the new key goes on from the newer one",
            end(&with_kit),
            end(&here)
        ));
    }
    let why = format!(
        "the kit knows {}, and nothing newer is known here: devices that were added since will not act any more, and devices \
         that were removed since will act again",
        end(&with_kit)
    );
    if is_yes {
        return io.warn(why);
    }
    let newest = format!(
        "the newest log: `allod id log {agent} --out FILE` on a device of the agent or on the node of a friend, then --log FILE here"
    );
    if asks_yes(
        &format!("{why}\n{newest}\nGo on with the log of the kit?"),
        io,
    )? {
        return Ok(());
    }
    bail!("nothing was changed; get the newest log, or say --yes")
}
