//! `id recover`.

use std::path::Path;

use allod::{Node, Said};
use allod_identity::{RecoveryRequest, said_bytes};
use anyhow::{Context as _, Result};
use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::guardians::{print_said, wait_text};
use crate::cli::id::{
    agent_named, ask, event_named, home_secret, learn_log, others_json, say_who_acts,
};
use crate::cli::id_args::{Answer, RecoverCommand};
use crate::cli::io::Io;

/// The longest file with a request or statement, in bytes.
const FILE_BYTES_MAX: u64 = 8192;

pub(crate) fn recover(node: &Node, command: &RecoverCommand, io: &mut Io<'_>) -> Result<()> {
    match command {
        RecoverCommand::Begin {
            agent,
            log,
            after,
            anew,
        } => {
            let agent = agent_named(node, Some(agent))?;
            learn_log(node, log.as_deref(), io)?;
            begin(node, agent, (after.as_deref(), *anew), io)
        }
        RecoverCommand::Approve { answer, code, yes } => {
            let request = read_request(node, answer, io)?;
            show_request(&request, io)?;
            // Some may be in public spaces.
            node.gather()?;
            show_objections(node, &request, io)?;
            compare(&request, (code.as_deref(), *yes), io)?;
            let said = node.approve(&request)?;
            let log = node.agents().key_log(&request.agent)?;
            let wait = log.guardians().map_or(0, |(_, guardians)| guardians.wait);
            let next = format!(
                "tell the other guardians, and people who may know the person; after {} run `allod id recover confirm` with the \
                 same request",
                wait_text(wait)
            );
            print_said(&said, &next, io)
        }
        RecoverCommand::Confirm {
            answer,
            despite_objection,
        } => {
            let request = read_request(node, answer, io)?;
            show_request(&request, io)?;
            node.gather()?;
            show_objections(node, &request, io)?;
            let said = node.confirm(&request, *despite_objection)?;
            print_said(&said, "give this to the person who asked", io)
        }
        RecoverCommand::Object(answer) => {
            let request = read_request(node, answer, io)?;
            let said = node.object(&request)?;
            print_said(
                &said,
                "give this to the guardians: `allod id recover hear` there",
                io,
            )
        }
        RecoverCommand::Hear { said } => hear(node, said, io),
        RecoverCommand::Finish { said } => {
            hear(node, said, io)?;
            let agent = node.finish_recovery(home_secret(io)?)?;
            let log = node.own_log()?;
            let key = log.key().map(ToString::to_string);
            let value = json!({
                "agent": agent.to_string(), "key": key, "others": others_json(node, &log)?,
            });
            io.data(&value, || {
                format!("this home acts for {agent} again, with a new key")
            })?;
            say_who_acts(node, &log, io)?;
            io.say("keep its recovery kit elsewhere: `allod id export --paper --remove`; and join your spaces again")
        }
        RecoverCommand::Status { agent } => status(node, agent.as_deref(), io),
    }
}

fn begin(
    node: &Node,
    agent: allod_identity::AgentId,
    (after, is_anew): (Option<&str>, bool),
    io: &mut Io<'_>,
) -> Result<()> {
    let log = node.agents().key_log(&agent)?;
    let after = after.map(|text| event_named(&log, text)).transpose()?;
    let request = node.begin_recovery(home_secret(io)?, agent, after, is_anew)?;
    let text = request.to_text();
    let (needed, count) = log.guardians().map_or((0, 0), |(_, guardians)| {
        (guardians.needed, guardians.keys.len())
    });
    let value = json!({
        "request": text,
        "key": request.key.to_string(),
        "fingerprint": request.key.fingerprint(),
        "check": request.check_code(),
        "needed": needed,
    });
    io.data(&value, || text.clone())?;
    io.say(format!(
        "give this to {needed} or more of the {count} guardians. Read this check code out to each of them, where they see or \
         hear that it is you:\n{}",
        request.check_code()
    ))
}

/// What a guardian is about to sign (IDENT-49). It is no data of its own for people, who pass on what comes after it, and
/// is shown to them however little they want to see.
fn show_request(request: &RecoveryRequest, io: &mut Io<'_>) -> Result<()> {
    let (agent, key, check) = (request.agent, request.key, request.check_code());
    if io.json {
        let value = json!({
            "kind": "request",
            "agent": agent.to_string(),
            "key": key.to_string(),
            "fingerprint": key.fingerprint(),
            "check": check,
        });
        writeln!(io.out, "{value}")?;
        io.out.flush()?;
    } else {
        writeln!(
            io.err,
            "a new key for  {agent}\nthe new key    {key}\ncheck code     {check}"
        )?;
    }
    Ok(())
}

/// What was said against the key of a request, also by keys that are not known here (IDENT-51): a guardian is shown it before
/// signing, however little they want to see.
fn show_objections(node: &Node, request: &RecoveryRequest, io: &mut Io<'_>) -> Result<()> {
    let is_against = |said: &Said| said.kind() == "object" && said.key() == Some(request.key);
    let mut said = node.said_of(request.agent)?;
    said.retain(is_against);
    let mut unknown = node.unknown_objections(request.agent)?;
    unknown.said.retain(is_against);
    let all = said.iter().map(|said| (said, true));
    for (said, is_known) in all.chain(unknown.said.iter().map(|said| (said, false))) {
        let (by, at) = (said.signer().to_string(), allod::utc(said.at()));
        if io.json {
            let value = json!({ "kind": "object", "by": by, "at": at, "known": is_known });
            writeln!(io.out, "{value}")?;
            io.out.flush()?;
        } else if is_known {
            writeln!(
                io.err,
                "an objection by {by}, who speaks for the agent, of {at}"
            )?;
        } else {
            writeln!(
                io.err,
                "an objection by a key that is not known here, of {at}: {by}\n  it may be a device that was added lately, or \
                 anybody; ask the person, and get the newest key log"
            )?;
        }
    }
    if unknown.is_full {
        io.warn("there may be more objections by keys that are not known here than are kept")?;
    }
    Ok(())
}

/// Has a guardian type the check code that the person read out (IDENT-49).
fn compare(
    request: &RecoveryRequest,
    (code, is_skipped): (Option<&str>, bool),
    io: &mut Io<'_>,
) -> Result<()> {
    if is_skipped {
        return io.warn("--yes: approved although nobody compared the check code");
    }
    let typed = match code {
        Some(code) => Zeroizing::new(code.to_owned()),
        None => ask(
            "Anybody can make such a request. Meet or call the person, and have them read out their check code.\n\
             Type what they say:",
            io,
        )?,
    };
    anyhow::ensure!(
        request.is_check_code(&typed),
        "this is not the check code of the request, so nothing was approved; if the person read it out rightly, the request is \
         not theirs"
    );
    Ok(())
}

/// A text that was given, or the content of a file.
fn text_or_file(given: &str, io: &Io<'_>) -> Result<String> {
    if given.starts_with("allod-") {
        return Ok(given.to_owned());
    }
    let path = io.path(Path::new(given));
    let size = std::fs::metadata(&path)
        .with_context(|| path.display().to_string())?
        .len();
    anyhow::ensure!(size <= FILE_BYTES_MAX, "{} is too long", path.display());
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

fn read_request(node: &Node, answer: &Answer, io: &Io<'_>) -> Result<RecoveryRequest> {
    learn_log(node, answer.log.as_deref(), io)?;
    Ok(text_or_file(&answer.request, io)?.parse()?)
}

/// What was said, from a text or a file with it.
pub(crate) fn read_said(given: &str, io: &Io<'_>) -> Result<Said> {
    let text = text_or_file(given, io)?;
    Ok(Said::read(&said_bytes(&text)?)?)
}

fn hear(node: &Node, said: &[String], io: &mut Io<'_>) -> Result<()> {
    for given in said {
        let said = read_said(given, io)?;
        let unknown = if node.hear(&said)? {
            ""
        } else {
            ", a key that is not known here"
        };
        io.say(format!("{} by {}{unknown}", said.kind(), said.signer()))?;
    }
    Ok(())
}

fn status(node: &Node, agent: Option<&str>, io: &mut Io<'_>) -> Result<()> {
    // What guardians say may be in public spaces.
    node.gather()?;
    let asked = node.asked()?;
    let agent = match (agent, &asked) {
        (None, Some(asked)) if node.agent().is_err() => asked.agent,
        (agent, _) => agent_named(node, agent)?,
    };
    if let Some(asked) = asked.filter(|asked| asked.agent == agent && node.agent().is_err()) {
        let value = json!({
            "kind": "request", "key": asked.key.to_string(), "request": asked.to_text(), "check": asked.check_code(),
        });
        io.data(&value, || {
            let (key, check) = (asked.key, asked.check_code());
            format!("asked for here: the key {key}, check code {check}")
        })?;
    }
    for said in node.said_of(agent)? {
        status_row(node, &said, true, io)?;
    }
    let unknown = node.unknown_objections(agent)?;
    for said in &unknown.said {
        status_row(node, said, false, io)?;
    }
    if unknown.is_full {
        io.warn("there may be more objections by keys that are not known here than are kept")?;
    }
    Ok(())
}

/// What was said, by somebody who `is_known` to have a say or by a key that is not known here.
fn status_row(node: &Node, said: &Said, is_known: bool, io: &mut Io<'_>) -> Result<()> {
    let log = node.agents().key_log(&said.agent())?;
    let (kind, by, at) = (said.kind(), said.signer(), allod::utc(said.at()));
    let key = said.key().map(|key| key.to_string());
    let wait = log.guardians().map_or(0, |(_, guardians)| guardians.wait);
    let until = (kind == "approve").then(|| allod::utc(said.at().saturating_add(wait)));
    let check = said.request().map(|request| request.check_code());
    let value = json!({
        "kind": kind, "by": by.to_string(), "at": at, "key": key, "check": check, "until": until, "known": is_known,
    });
    io.data(&value, || {
        let mut about = key
            .as_deref()
            .map_or(String::new(), |key| format!(" {key}"));
        if let Some(check) = &check {
            about += &format!(" ({check})");
        }
        let mut end = until
            .as_deref()
            .map_or(String::new(), |until| format!(", waits until {until}"));
        if !is_known {
            end += ", a key that is not known here";
        }
        format!("{at}  {kind}{about}  by {by}{end}")
    })
}
