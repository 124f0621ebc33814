//! `trust`.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use allod::{Node, Position, now_ms, one_commit, utc};
use allod_identity::{AgentId, KeyEvent, Payload as _, Signed, Verified, domain_of};
use allod_repo::{BranchName, CommitId, Repo};
use allod_trust::{Ground, POLICY_BYTES_MAX, Path as TrustPath, Policy, Record, Relation, Verdict};
use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use cid::Cid;
use serde_json::{Value, json};

use crate::cli::attesting::{cid, say, validity};
use crate::cli::io::{Io, plain};
use crate::cli::trust_args::{PolicyCommand, TrustCommand};

/// The longest JSON of a policy that is read, in bytes: DIDs take twice what they do in DAG-CBOR.
const POLICY_TEXT_MAX: u64 = 4 * POLICY_BYTES_MAX as u64;

/// The most text of records that is read at once, in bytes: some thousands.
const RECORDS_TEXT_MAX: u64 = 8 * 1024 * 1024;

pub(crate) fn trust(
    node: &Node,
    space: Option<&str>,
    command: &TrustCommand,
    io: &mut Io<'_>,
) -> Result<()> {
    match command {
        TrustCommand::Relate {
            with,
            level,
            kind,
            validity: holds,
        } => {
            let (from, until) = validity(*holds);
            let half = Relation {
                by: node.agent()?,
                with: *with,
                kind: kind.clone(),
                level: *level,
                from,
                until,
                at: from,
            };
            say(node, half, io)?;
            io.say(format!(
                "it holds once {with} says so too, and that is known here"
            ))
        }
        TrustCommand::List { agent } => list(node, agent.as_ref(), io),
        TrustCommand::Path {
            to,
            from,
            within,
            level,
        } => {
            let moment = node.moment()?;
            let from = from.map_or_else(|| node.agent(), Ok)?;
            let path = moment.graph().path(&from, to, *within, *level);
            let value = path.as_ref().map(path_json);
            io.data(&json!({ "path": value }), || match &path {
                Some(path) => words_of(node, path),
                None => format!("no way of at most {within} steps leads to {to}"),
            })
        }
        TrustCommand::Policy { command } => policy(node, &node.space(space)?, command, io),
        TrustCommand::Held => held(&node.space(space)?, io),
        TrustCommand::Release { commits } => {
            let repo = node.space(space)?;
            let mut released = 0;
            for commit in commits {
                released += repo.release(one_commit(&repo, commit)?)?;
            }
            node.touch();
            io.data(&json!({ "released": released }), || {
                format!("{released} released")
            })
        }
        TrustCommand::TakeIn { branch } => {
            take_in(node, &node.space(space)?, branch.as_deref(), io)
        }
        TrustCommand::Give { records } => {
            for text in records {
                let cid = cid(text)?;
                let record = node.record(&cid)?;
                let record = record.with_context(|| format!("no record {cid} is known here"))?;
                // By which it counts at whoever takes it.
                let log = node.agents().key_log(record.by())?;
                let events = log.known().map(Verified::bytes);
                for bytes in events.chain([record.bytes()]) {
                    io.line(multibase::encode(multibase::Base::Base64Url, bytes))?;
                }
            }
            Ok(())
        }
        TrustCommand::Take { file } => take(node, file.as_deref(), io),
    }
}

/// A path in plain words, where this node's agent is "you".
pub(crate) fn words_of(node: &Node, path: &TrustPath) -> String {
    let me = node.agent().ok();
    path.words(|agent| match me {
        Some(me) if me == *agent => "you".to_owned(),
        _ => agent.to_string(),
    })
}

pub(crate) fn path_json(path: &TrustPath) -> Value {
    let steps = path.steps.iter().map(|step| {
        let evidence: Vec<String> = step.evidence.iter().map(Cid::to_string).collect();
        json!({
            "to": step.to.to_string(),
            "says": step.says,
            "level": step.level.name(),
            "since": step.since,
            "evidence": evidence,
        })
    });
    json!({ "from": path.from.to_string(), "steps": steps.collect::<Vec<_>>() })
}

fn list(node: &Node, agent: Option<&AgentId>, io: &mut Io<'_>) -> Result<()> {
    let agent = match agent {
        Some(agent) => *agent,
        None => node.agent()?,
    };
    let all = node.moment()?.counted().relationships(&agent, now_ms());
    for it in &all {
        let other = it.agents.iter().find(|other| **other != agent);
        let other = other.map(AgentId::to_string).unwrap_or_default();
        let value = json!({
            "with": other,
            "kind": it.kind,
            "level": it.level.name(),
            "since": it.since,
            "until": it.until,
            "evidence": it.halves.iter().map(Cid::to_string).collect::<Vec<_>>(),
        });
        io.data(&value, || {
            format!(
                "{other}  {} ({}) since {}",
                it.level.name(),
                it.kind,
                utc(it.since)
            )
        })?;
    }
    if all.is_empty() {
        io.say("no relationship holds; both sides have to say so")?;
    }
    Ok(())
}

fn policy(node: &Node, repo: &Repo, command: &PolicyCommand, io: &mut Io<'_>) -> Result<()> {
    match command {
        PolicyCommand::Show => {
            let policy = node.trust_policy(repo)?;
            let value = serde_json::to_value(&policy)?;
            io.data(&json!({ "policy": value }), || match &policy {
                Some(policy) => serde_json::to_string_pretty(policy).unwrap_or_default(),
                None => "no policy: what any member says is taken".to_owned(),
            })
        }
        PolicyCommand::Set { file } => {
            let policy = read_policy(file, io)?;
            let made = node.set_trust_policy(repo, Some(&policy))?;
            say_set(made, io)
        }
        PolicyCommand::Clear => say_set(node.set_trust_policy(repo, None)?, io),
        PolicyCommand::Test { commit, policy } => {
            let policy = match policy {
                Some(file) => Some(read_policy(file, io)?),
                None => node.trust_policy(repo)?,
            };
            let id = one_commit(repo, commit)?;
            let verdict = node.verdict(repo, &*repo.commit(id)?, policy.as_ref())?;
            say_verdict(verdict.as_ref(), policy.is_some(), io)
        }
    }
}

fn say_set(made: Option<CommitId>, io: &mut Io<'_>) -> Result<()> {
    let commit = made.map(|id| id.to_string());
    io.data(&json!({ "commit": commit }), || match &commit {
        Some(commit) => format!("committed {commit}"),
        None => "it is so already".to_owned(),
    })
}

fn say_verdict(verdict: Option<&Verdict>, has_policy: bool, io: &mut Io<'_>) -> Result<()> {
    let Some(verdict) = verdict else {
        let why = if has_policy {
            "it is your own"
        } else {
            "the space has no policy"
        };
        return io.data(&json!({ "outcome": "accept", "words": why }), || {
            format!("accept: {why}")
        });
    };
    let outcome = serde_json::to_value(verdict.outcome)?;
    let rule = match verdict.ground {
        Ground::Rule(at) | Ground::Unsure(at) => Some(at + 1),
        _ => None,
    };
    let evidence: Vec<String> = verdict.evidence.iter().map(Cid::to_string).collect();
    let value = json!({
        "outcome": outcome,
        "rule": rule,
        "words": verdict.words,
        "evidence": evidence,
    });
    io.data(&value, || {
        let by = rule.map_or_else(String::new, |rule| format!(" (rule {rule})"));
        let mut text = format!(
            "{}: {}{by}",
            outcome.as_str().unwrap_or_default(),
            plain(&verdict.words)
        );
        for cid in &evidence {
            text.push_str("\n  by ");
            text.push_str(cid);
        }
        text
    })
}

fn read_policy(file: &Path, io: &mut Io<'_>) -> Result<Policy> {
    let text = read_text(Some(file), POLICY_TEXT_MAX, io)?;
    serde_json::from_str(&text).with_context(|| format!("{} is no policy", file.display()))
}

/// The text of a file, or of standard input.
fn read_text(file: Option<&Path>, most: u64, io: &mut Io<'_>) -> Result<String> {
    let mut text = String::new();
    let read = match file {
        Some(file) if file != Path::new("-") => {
            let path = io.path(file);
            let file = std::fs::File::open(&path);
            let file = file.with_context(|| format!("{} cannot be read", path.display()))?;
            file.take(most + 1).read_to_string(&mut text)?
        }
        _ => io.input.take(most + 1).read_to_string(&mut text)?,
    };
    ensure!(read as u64 <= most, "it has more than {most} bytes");
    Ok(text)
}

fn held(repo: &Repo, io: &mut Io<'_>) -> Result<()> {
    let mut any = false;
    for (branch, _) in repo.offered()? {
        for id in repo.beside(&branch)? {
            any = true;
            let commit = repo.commit(id)?;
            let author = commit.payload().author;
            let why = match repo.quarantined(id)? {
                Some(words) => format!("in quarantine: {words}"),
                None => "its key speaks for its author no more".to_owned(),
            };
            let value = json!({
                "commit": id.to_string(),
                "branch": branch.as_str(),
                "author": author.to_string(),
                "why": why,
            });
            io.data(&value, || {
                format!("{id}  {branch}  {author}\n  {}", plain(&why))
            })?;
        }
    }
    if !any {
        io.say("nothing is kept apart")?;
    }
    Ok(())
}

fn take_in(node: &Node, repo: &Repo, branch: Option<&str>, io: &mut Io<'_>) -> Result<()> {
    let branch: BranchName = match branch {
        Some(name) => name.parse()?,
        None => match node.position(repo)? {
            Position::Branch(branch) => branch,
            Position::Detached(_) => BranchName::main(),
        },
    };
    let message = format!("Take in what was beside {branch}");
    let made = repo.take_in(&branch, node.author()?, &message, now_ms())?;
    node.touch();
    let commit = made.map(|id| id.to_string());
    io.data(&json!({ "commit": commit }), || match &commit {
        Some(commit) => format!("committed {commit}"),
        None => format!("nothing is beside {branch}"),
    })
}

fn take(node: &Node, file: Option<&Path>, io: &mut Io<'_>) -> Result<()> {
    let text = read_text(file, RECORDS_TEXT_MAX, io)?;
    let (mut records, mut events) = (Vec::new(), BTreeMap::<AgentId, Vec<Bytes>>::new());
    for word in text.split_whitespace() {
        let (_, bytes) =
            multibase::decode(word).context("what was given is no text of a record")?;
        if domain_of(&bytes)? == KeyEvent::DOMAIN {
            let event = Signed::<KeyEvent>::decode(bytes)?.verify()?;
            let events = events.entry(event.payload().agent).or_default();
            events.push(event.bytes().clone());
        } else {
            records.push(Record::decode(bytes)?);
        }
    }
    for (agent, events) in events {
        node.learn_log(&agent, &events)?;
    }
    ensure!(!records.is_empty(), "there is no record in it");
    let cids: Vec<String> = records
        .iter()
        .map(|record| record.cid().to_string())
        .collect();
    node.keep_records(records)?;
    let counted = node.moment()?;
    for text in cids {
        let counts = counted.counted().counts(&cid(&text)?);
        let value = json!({ "record": text, "counts": counts });
        io.data(&value, || {
            let note = if counts {
                ""
            } else {
                "  (does not count here)"
            };
            format!("{text}{note}")
        })?;
    }
    Ok(())
}
