//! `explain`.

use allod::{Node, now_ms, one_commit, utc};
use allod_identity::{AgentId, Decision, DecisionOutcome, Link, Who};
use allod_repo::{CommitId, Heads, Repo};
use allod_trust::{About, Claims, DISTANCE_MAX, Level};
use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::cli::attesting::about_text;
use crate::cli::io::{Io, plain};
use crate::cli::standing::{Standing, Wanting};
use crate::cli::trusting::{path_json, words_of};

/// Decisions that are shown of an agent or a commit.
const SHOWN: usize = 20;

pub(crate) fn explain(
    node: &Node,
    space: Option<&str>,
    (what, last): (Option<&str>, usize),
    io: &mut Io<'_>,
) -> Result<()> {
    let decisions = node.decisions()?;
    let Some(what) = what else {
        if decisions.is_empty() {
            io.say("nothing was decided here by itself")?;
        }
        return decisions
            .iter()
            .take(last)
            .try_for_each(|decision| show(decision, io));
    };
    if let Ok(agent) = what.parse::<AgentId>() {
        return agent_story(node, &agent, &decisions, io);
    }
    if let Some(decision) = decisions
        .iter()
        .find(|decision| name_of(decision).ends_with(what))
    {
        return show(decision, io);
    }
    let repo = node.space(space)?;
    let error = match one_commit(&repo, what) {
        Ok(id) => return commit_story(node, &repo, id, &decisions, io),
        Err(error) => error,
    };
    // What was refused is not here, and what was decided of it is.
    let of_it = decisions.iter().filter(|it| it.what().object() == what);
    let of_it: Vec<&Decision> = of_it.take(SHOWN).collect();
    if of_it.is_empty() {
        bail!("{what:?} is no agent's DID, no decision's name, and {error}");
    }
    of_it
        .into_iter()
        .try_for_each(|decision| show(decision, io))
}

/// By what a decision is asked for again.
fn name_of(decision: &Decision) -> String {
    let bytes = decision.encode().unwrap_or_default();
    allod_blocks::sha256_cid(allod_blocks::Codec::DagCbor, &bytes).to_string()
}

fn show(decision: &Decision, io: &mut Io<'_>) -> Result<()> {
    io.data(&decision_json(decision), || decision_text(decision))
}

fn decision_json(decision: &Decision) -> Value {
    let mut value = serde_json::to_value(decision).unwrap_or_default();
    if let Some(members) = value.as_object_mut() {
        members.insert("decision".to_owned(), json!(name_of(decision)));
    }
    value
}

fn outcome_text(outcome: &DecisionOutcome) -> String {
    match outcome {
        DecisionOutcome::Allow => "allowed".to_owned(),
        DecisionOutcome::Deny => "denied".to_owned(),
        DecisionOutcome::Accept => "accepted".to_owned(),
        DecisionOutcome::Quarantine => "put in quarantine".to_owned(),
        DecisionOutcome::Refuse => "refused".to_owned(),
        DecisionOutcome::Chose(choice) => format!("chose {}", plain(choice)),
        _ => "decided".to_owned(),
    }
}

fn decision_text(decision: &Decision) -> String {
    let who = match decision.who() {
        Some(Who::Agent(agent)) => format!(", of {agent}"),
        Some(Who::Device(device)) => format!(", of device {device}"),
        _ => String::new(),
    };
    let name = name_of(decision);
    let mut text = format!(
        "{}  {} {}: {}{who}\n  {}",
        name.get(name.len().saturating_sub(8)..).unwrap_or_default(),
        utc(decision.at()),
        decision.what().act(),
        outcome_text(decision.outcome()),
        plain(decision.what().object()),
    );
    text.push_str("\n  ");
    if let Some(rule) = decision.rule() {
        text.push_str(rule);
        text.push_str(": ");
    }
    text.push_str(&plain(decision.words()));
    for link in decision.evidence() {
        text.push_str(&format!("\n  by {}", Link::cid(link)));
    }
    text
}

fn agent_story(
    node: &Node,
    agent: &AgentId,
    decisions: &[Decision],
    io: &mut Io<'_>,
) -> Result<()> {
    let moment = node.moment()?;
    let log = node.agents().key_log(agent)?;
    let is_frozen = log.equivocation().is_some();
    let path = moment
        .graph()
        .path(&node.agent()?, agent, DISTANCE_MAX, Level::Network);
    let about = About::Agent(*agent);
    let claims = moment.counted().claims(Claims {
        about: Some(&about),
        valid_at: Some(now_ms()),
        ..Claims::default()
    });
    let noted = decisions
        .iter()
        .filter(|it| it.who() == Some(&Who::Agent(*agent)));
    let noted: Vec<&Decision> = noted.take(SHOWN).collect();
    let devices: Vec<String> = log
        .devices()
        .map(|(device, _)| device.to_string())
        .collect();
    let value = json!({
        "agent": agent.to_string(),
        "frozen": is_frozen,
        "devices": devices,
        "path": path.as_ref().map(path_json),
        "claims": claims.iter().map(|claim| json!({
            "record": claim.cid().to_string(),
            "by": claim.payload().by.to_string(),
            "category": claim.payload().category,
            "claim": claim.payload().claim,
        })).collect::<Vec<_>>(),
        "decisions": noted.iter().map(|it| decision_json(it)).collect::<Vec<_>>(),
    });
    io.data(&value, || {
        let mut lines = vec![agent.to_string()];
        lines.push(match (is_frozen, devices.len()) {
            (true, _) => {
                "  says two things at once, so nothing it says counts until it has said which"
                    .to_owned()
            }
            (false, 0) => "  no device of it is known here".to_owned(),
            (false, 1) => "  one device acts for it".to_owned(),
            (false, many) => format!("  {many} devices act for it"),
        });
        lines.push(match &path {
            Some(path) if path.steps.is_empty() => "  it is you".to_owned(),
            Some(path) => format!("  {}", words_of(node, path)),
            None => "  nobody whom you know leads to it".to_owned(),
        });
        for claim in &claims {
            let said = claim.payload();
            let (by, about) = (said.by, about_text(&said.about));
            lines.push(format!(
                "  {by} says of {about}: {} ({})",
                plain(&said.claim),
                said.category
            ));
        }
        lines.extend(noted.iter().map(|it| decision_text(it)));
        lines.join("\n")
    })
}

fn commit_story(
    node: &Node,
    repo: &Repo,
    id: CommitId,
    decisions: &[Decision],
    io: &mut Io<'_>,
) -> Result<()> {
    let commit = repo.commit(id)?;
    let said = commit.payload();
    let log = node.agents().key_log(&said.author)?;
    let speaks = match log.standing(commit.signer()) {
        _ if log.equivocation().is_some() => "its author says two things at once",
        Some(allod_identity::Standing::Now) => "its key speaks for its author",
        Some(allod_identity::Standing::Before) => "its key spoke for its author, and does no more",
        None => "its key never spoke for its author, as far as is known here",
    };
    let quarantine = repo.quarantined(id)?;
    let standing = Standing::of(node, repo, id)?;
    let policy = node.trust_policy(repo)?;
    let verdict = node.verdict(repo, &commit, policy.as_ref())?;
    let text = id.to_string();
    let noted = decisions.iter().filter(|it| it.what().object() == text);
    let noted: Vec<&Decision> = noted.take(SHOWN).collect();
    let value = json!({
        "commit": text,
        "branch": said.branch.as_str(),
        "author": said.author.to_string(),
        "counts": standing.counts,
        "stands": standing.stands,
        "key": speaks,
        "denial": standing.denial.as_ref().map(Wanting::json),
        "vouched_by": standing.voucher.as_ref().map(CommitId::to_string),
        "rests_on": texts(&standing.unvouched),
        "quarantine": quarantine,
        "policy_now": verdict.as_ref().map(|verdict| json!({
            "outcome": verdict.outcome,
            "words": verdict.words,
        })),
        "decisions": noted.iter().map(|it| decision_json(it)).collect::<Vec<_>>(),
    });
    io.data(&value, || {
        let mut lines = vec![format!("{text} on {} by {}", said.branch, said.author)];
        lines.push(format!("  {speaks}"));
        lines.extend(standing.denial.iter().flat_map(Wanting::lines));
        lines.extend(
            quarantine
                .as_ref()
                .map(|words| format!("  in quarantine: {}", plain(words))),
        );
        lines.extend(standing.lines(quarantine.is_some()));
        if let Some(verdict) = &verdict {
            let outcome = serde_json::to_value(verdict.outcome).unwrap_or_default();
            let outcome = outcome.as_str().unwrap_or_default().to_owned();
            lines.push(format!(
                "  the policy now: {outcome}, {}",
                plain(&verdict.words)
            ));
        }
        lines.extend(noted.iter().map(|it| decision_text(it)));
        lines.join("\n")
    })
}

fn texts(commits: &Heads) -> Vec<String> {
    commits
        .iter()
        .take(SHOWN)
        .map(CommitId::to_string)
        .collect()
}
