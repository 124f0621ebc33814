//! `id guardians`.

use allod::{Node, Rotation, Said};
use allod_identity::{Guardians, PublicKey, Says, carried, said_text};
use anyhow::{Result, bail};
use serde_json::json;

use crate::cli::Usage;
use crate::cli::id::{agent_named, chain_of, home_secret, said_key, warn_guarded};
use crate::cli::id_args::{Chain, GuardiansCommand, Named};
use crate::cli::id_show::guardians_json;
use crate::cli::io::Io;
use crate::cli::recover::read_said;

pub(crate) fn guardians(node: &Node, command: &GuardiansCommand, io: &mut Io<'_>) -> Result<()> {
    match command {
        GuardiansCommand::Show { agent } => show(node, agent.as_deref(), io),
        GuardiansCommand::Set {
            guardians,
            released,
            chain,
        } => name(node, meant(guardians)?, (released, chain), io),
        GuardiansCommand::Clear { released, chain } => {
            name(node, Guardians::default(), (released, chain), io)
        }
        GuardiansCommand::Release {
            agent,
            guardians,
            none,
        } => {
            let agent = agent_named(node, Some(agent))?;
            let guardians = if *none {
                Guardians::default()
            } else {
                meant(guardians)?
            };
            let said = node.release(agent, guardians)?;
            print_said(&said, "give this to the person whose guardian you are", io)
        }
    }
}

/// What options say, in the one form that it has.
fn meant(named: &Named) -> Result<Guardians> {
    let keys = named.guardians.iter().map(|text| {
        let key = text.parse::<PublicKey>();
        key.map_err(|error| Usage(format!("{text} is no key of a guardian: {error}")))
    });
    let mut keys: Vec<PublicKey> = keys.collect::<Result<_, _>>()?;
    keys.sort_unstable();
    keys.dedup();
    if keys.is_empty() {
        return Err(Usage("name the guardians by their keys".to_owned()).into());
    }
    let needed = named.needed.unwrap_or(keys.len() as u64 / 2 + 1);
    if !(1..=keys.len() as u64).contains(&needed) {
        return Err(Usage(format!(
            "{needed} of {} guardians cannot be needed",
            keys.len()
        ))
        .into());
    }
    Ok(Guardians {
        keys,
        needed,
        wait: named.wait,
    })
}

/// Gives the agent its next key, with an event that names guardians.
fn name(
    node: &Node,
    guardians: Guardians,
    (released, chain): (&[String], &Chain),
    io: &mut Io<'_>,
) -> Result<()> {
    let log = node.own_log()?;
    let mut said = Vec::new();
    for text in released {
        match read_said(text, io)? {
            Said::Guardian(by) if matches!(by.payload().says, Says::Release { .. }) => {
                said.push(by);
            }
            _ => bail!("{text:?} lets no guardians go"),
        }
    }
    if let Some((_, present)) = log.guardians()
        && (said.len() as u64) < present.needed
    {
        bail!(
            "{} of the present guardians have to agree first: each runs `allod id guardians release {} ...` with the same \
             guardians, number and wait, and you add --released with what that prints",
            present.needed,
            log.agent()
        );
    }
    let before = log.key().copied();
    let is_first = log.guardians().is_none();
    let is_some = !guardians.keys.is_empty();
    let chain = chain_of(node, chain, io)?;
    let how = Rotation {
        guardians: Some(guardians),
        released: carried(&said),
        chain,
        ..Rotation::default()
    };
    let log = node.rotate(home_secret(io)?, how)?;
    said_key(node, &log, io)?;
    warn_guarded(node, &log, before, io)?;
    if is_first && is_some {
        // IDENT-44.
        io.say(
            "until these guardians let others take their place, who already has the recovery kit can still go on from before \
             they were named",
        )?;
    }
    Ok(())
}

fn show(node: &Node, agent: Option<&str>, io: &mut Io<'_>) -> Result<()> {
    let agent = agent_named(node, agent)?;
    let log = node.agents().key_log(&agent)?;
    io.data(&guardians_json(&log), || match log.guardians() {
        None => "no guardians".to_owned(),
        Some((_, guardians)) => {
            let (needed, count) = (guardians.needed, guardians.keys.len());
            let mut text = format!(
                "{needed} of {count}, who wait {}",
                wait_text(guardians.wait)
            );
            text.extend(guardians.keys.iter().map(|key| format!("\n{key}")));
            text
        }
    })
}

/// Prints what was said, to be passed on.
pub(crate) fn print_said(said: &Said, what_next: &str, io: &mut Io<'_>) -> Result<()> {
    let text = match said {
        Said::Guardian(said) => said_text(said),
        Said::Objection(said) => said_text(said),
        _ => bail!("a statement of another kind"),
    };
    let value = json!({
        "kind": said.kind(),
        "said": text,
        "by": said.signer().to_string(),
        "agent": said.agent().to_string(),
        "key": said.key().map(|key| key.to_string()),
        "check": said.request().map(|request| request.check_code()),
    });
    io.data(&value, || text.clone())?;
    io.say(what_next)
}

/// A wait as people say it.
pub(crate) fn wait_text(ms: u64) -> String {
    let seconds = ms / 1000;
    for (unit, name) in [(24 * 60 * 60, "days"), (60 * 60, "hours"), (60, "minutes")] {
        if seconds >= unit && seconds.is_multiple_of(unit) {
            return format!("{} {name}", seconds / unit);
        }
    }
    format!("{seconds} s")
}
