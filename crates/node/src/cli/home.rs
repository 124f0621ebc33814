//! `init`, and the secret that opens a home.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use allod::{Home, HomeConfig, KeySource, Node, NodeError, make_key_file, random, read_key_file};
use allod_identity::pairing::PairingCode;
use allod_identity::{Keystore, SecretKey};
use anyhow::{Context as _, Result};
use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::home_args::Init;
use crate::cli::id_args::Join;
use crate::cli::io::Io;
use crate::cli::{id, pair};

/// More than the longest file of a key that is read has, in bytes.
const AGENT_KEY_BYTES_MAX: u64 = 16 * 1024;

/// The least that a passphrase may have, in characters.
const PASSPHRASE_CHARS_MIN: usize = 8;

pub(crate) fn init(home: &Home, init: &Init, io: &mut Io<'_>) -> Result<()> {
    if home.exists() {
        return Err(NodeError::HomeExists(home.path().to_owned()).into());
    }
    // Better now than when the home is made.
    if let Some(code) = init.pair.as_deref().filter(|code| *code != "-") {
        code.parse::<PairingCode>().map_err(NodeError::Pair)?;
    }
    let device_only = init.device_only || init.pair.is_some();
    let (source, secret) = match &init.key_file {
        Some(path) => {
            let path = std::path::absolute(io.path(path))?;
            let secret = make_key_file(&path)?;
            (KeySource::File(path), secret)
        }
        None => (KeySource::Passphrase, new_passphrase()?),
    };
    let seed = || random().map(SecretKey::from_seed);
    let given = init.agent_key.as_deref();
    let given = given.map(|path| agent_key(&io.path(path))).transpose()?;
    let keys = Keystore {
        agent: match given {
            None if device_only => None,
            None => Some(seed()?),
            given => given,
        },
        next_agent: if device_only { None } else { Some(seed()?) },
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
        id::id(&node, None, io)?;
    }
    if let Some(code) = &init.pair {
        let options = Join {
            code: code.clone(),
            yes: init.yes,
        };
        return pair::join(&node, &options, io).context(
            "the home is made, and acts for nobody yet; try again with `allod id join CODE`",
        );
    }
    io.say(if agent.is_none() {
        "next: on a device of the agent run `allod id device add`, then here `allod id join CODE`"
    } else {
        "next: `allod space new NAME`, or `allod space join TICKET`"
    })
}

/// The key of an agent that is there already.
fn agent_key(path: &Path) -> Result<SecretKey> {
    let name = || path.display().to_string();
    let file = std::fs::File::open(path).with_context(name)?;
    let others = file.metadata().with_context(name)?.mode() & 0o077;
    anyhow::ensure!(
        others == 0,
        "{} can be read by others; `chmod 600` it",
        name()
    );
    // As much as there is of a key, and room for all at once: a buffer that grows leaves copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(AGENT_KEY_BYTES_MAX as usize + 1));
    let mut some = file.take(AGENT_KEY_BYTES_MAX + 1);
    some.read_to_end(&mut content).with_context(name)?;
    SecretKey::import(&content).with_context(name)
}

/// Whether somebody would have to be asked for the secret.
pub(crate) fn asks(source: &KeySource) -> bool {
    matches!(source, KeySource::Passphrase) && std::env::var_os("ALLOD_PASSPHRASE").is_none()
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
