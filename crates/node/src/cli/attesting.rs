//! `attest`, `attestations`, `witness`, `revoke`, `circle`.

use std::collections::BTreeMap;

use allod::{Node, now_ms, utc};
use allod_identity::{AgentId, DeviceId, Payload, Verified};
use allod_trust::{
    About, Attestation, Circle, Claims, Membership, Moment, Record, Revocation, Witness,
};
use anyhow::{Context as _, Result, ensure};
use cid::Cid;
use serde_json::{Value, json};

use crate::cli::Usage;
use crate::cli::io::{Io, plain};
use crate::cli::trust_args::{Attest, Attestations, CircleCommand, Validity};

/// Milliseconds of a day.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Signs something for the agent, and keeps it in its public space.
pub(crate) fn say<T: Payload>(node: &Node, payload: T, io: &mut Io<'_>) -> Result<()>
where
    Record: From<Verified<T>>,
{
    let cid = node.say(Verified::sign(node.device_key()?, payload)?)?;
    io.data(&json!({ "record": cid.to_string() }), || cid.to_string())
}

/// From now on, and until when.
pub(crate) fn validity(validity: Validity) -> (u64, Option<u64>) {
    let now = now_ms();
    let until = validity
        .days
        .map(|days| now.saturating_add(days.saturating_mul(DAY_MS)));
    (now, until)
}

pub(crate) fn cid(text: &str) -> Result<Cid> {
    text.parse().with_context(|| format!("{text:?} is no CID"))
}

/// Whom or what a text means.
pub(crate) fn about(node: &Node, text: &str) -> Result<About> {
    if let Ok(agent) = text.parse::<AgentId>() {
        return Ok(About::Agent(agent));
    }
    if let Some(device) = text.strip_prefix("device:") {
        let device: DeviceId = device.parse().context("after device: stands a DID")?;
        return Ok(About::Device(device));
    }
    if let Some(name) = text.strip_prefix("space:") {
        return Ok(About::Space(*node.space(Some(name))?.id().cid()));
    }
    let cid: Cid = text.parse().map_err(|_error| {
        Usage(format!(
            "{text:?} is no agent's DID, `device:DID`, `space:NAME` or CID"
        ))
    })?;
    Ok(About::Cid(cid))
}

pub(crate) fn attest(node: &Node, options: &Attest, io: &mut Io<'_>) -> Result<()> {
    let evidence = options.evidence.iter().map(|text| cid(text));
    let mut evidence = evidence.collect::<Result<Vec<Cid>>>()?;
    evidence.sort_by_key(Cid::to_bytes);
    evidence.dedup();
    let (from, until) = validity(options.validity);
    let claim = Attestation {
        by: node.agent()?,
        about: about(node, &options.about)?,
        category: options.category.clone(),
        claim: options.claim.clone(),
        evidence,
        from,
        until,
        at: from,
    };
    say(node, claim, io)
}

pub(crate) fn attestations(node: &Node, options: &Attestations, io: &mut Io<'_>) -> Result<()> {
    let about = options
        .about
        .as_deref()
        .map(|text| about(node, text))
        .transpose()?;
    let moment = node.moment()?;
    let claims = moment.counted().claims(Claims {
        by: options.by.as_ref(),
        about: about.as_ref(),
        category: options.category.as_deref(),
        valid_at: (!options.all).then(|| options.at.unwrap_or_else(now_ms)),
    });
    for claim in &claims {
        let witnesses: Vec<String> = moment
            .counted()
            .witnesses(claim)
            .map(AgentId::to_string)
            .collect();
        let said = claim.payload();
        io.data(&attestation_json(claim.cid(), said, &witnesses), || {
            let seen = match witnesses.len() {
                0 => String::new(),
                1 => ", seen by another".to_owned(),
                many => format!(", seen by {many} others"),
            };
            format!(
                "{}\n  {} says of {}: {} ({}, since {}{seen})",
                claim.cid(),
                said.by,
                about_text(&said.about),
                plain(&said.claim),
                said.category,
                utc(said.from)
            )
        })?;
    }
    if claims.is_empty() {
        io.say("nothing of that kind counts here")?;
    }
    Ok(())
}

pub(crate) fn about_text(about: &About) -> String {
    match about {
        About::Agent(agent) => agent.to_string(),
        About::Device(device) => format!("device:{device}"),
        About::Space(cid) => format!("space:{cid}"),
        About::Cid(cid) => cid.to_string(),
        _ => "something of a kind that is not known here".to_owned(),
    }
}

fn attestation_json(cid: &Cid, said: &Attestation, witnesses: &[String]) -> Value {
    let evidence: Vec<String> = said.evidence.iter().map(Cid::to_string).collect();
    json!({
        "record": cid.to_string(),
        "by": said.by.to_string(),
        "about": about_text(&said.about),
        "category": said.category,
        "claim": said.claim,
        "from": said.from,
        "until": said.until,
        "evidence": evidence,
        "witnesses": witnesses,
    })
}

pub(crate) fn witness(node: &Node, record: &str, io: &mut Io<'_>) -> Result<()> {
    let of = cid(record)?;
    let known = node
        .record(&of)?
        .with_context(|| format!("no record {of} is known here"))?;
    ensure!(
        matches!(known, Record::Attest(_)),
        "{of} is no attestation; only those are witnessed"
    );
    let by = node.agent()?;
    ensure!(*known.by() != by, "{of} is your own; others may witness it");
    say(
        node,
        Witness {
            by,
            of,
            at: now_ms(),
        },
        io,
    )
}

pub(crate) fn revoke(
    node: &Node,
    record: &str,
    reason: Option<&str>,
    io: &mut Io<'_>,
) -> Result<()> {
    let of = cid(record)?;
    let known = node
        .record(&of)?
        .with_context(|| format!("no record {of} is known here"))?;
    let by = node.agent()?;
    let may = *known.by() == by || matches!(&known, Record::Belong(_));
    ensure!(may, "{of} is not yours, so nobody would take it as revoked");
    let reason = reason.map(ToOwned::to_owned);
    say(
        node,
        Revocation {
            by,
            of,
            at: now_ms(),
            reason,
        },
        io,
    )
}

pub(crate) fn circle(node: &Node, command: &CircleCommand, io: &mut Io<'_>) -> Result<()> {
    match command {
        CircleCommand::New { name, roles } => {
            let mut all = BTreeMap::new();
            for role in roles {
                let (role, admits) = role.split_once(':').unwrap_or((role, ""));
                let admits = admits.split(',').filter(|role| !role.is_empty());
                let mut admits: Vec<String> = admits.map(ToOwned::to_owned).collect();
                admits.sort_unstable();
                admits.dedup();
                all.insert(role.to_owned(), admits);
            }
            let (by, name) = (node.agent()?, name.clone());
            say(
                node,
                Circle {
                    by,
                    name,
                    roles: all,
                    at: now_ms(),
                },
                io,
            )
        }
        CircleCommand::Admit {
            circle,
            member,
            role,
            validity: holds,
        } => {
            let circle = find_circle(&*node.moment()?, circle)?;
            let (from, until) = validity(*holds);
            let (member, role) = (*member, role.clone());
            let by = node.agent()?;
            say(
                node,
                Membership {
                    by,
                    circle,
                    member,
                    role,
                    from,
                    until,
                    at: from,
                },
                io,
            )
        }
        CircleCommand::List { circle: None } => {
            for circle in node.moment()?.counted().circles() {
                let said = circle.payload();
                let value = json!({
                    "circle": circle.cid().to_string(),
                    "name": said.name,
                    "owner": said.by.to_string(),
                    "roles": said.roles,
                });
                io.data(&value, || {
                    format!("{}  {}", circle.cid(), plain(&said.name))
                })?;
            }
            Ok(())
        }
        CircleCommand::List {
            circle: Some(circle),
        } => {
            let moment = node.moment()?;
            let circle = find_circle(&moment, circle)?;
            for member in moment.circles().members(&circle) {
                let value = json!({
                    "agent": member.agent.to_string(),
                    "role": member.role,
                    "record": member.record.to_string(),
                });
                io.data(&value, || format!("{}  {}", member.agent, member.role))?;
            }
            Ok(())
        }
    }
}

/// The circle of this CID, or the only one of this name.
fn find_circle(moment: &Moment, text: &str) -> Result<Cid> {
    if let Ok(cid) = text.parse::<Cid>() {
        let known = moment.counted().circle(&cid);
        return Ok(*known
            .with_context(|| format!("no circle {cid} counts here"))?
            .cid());
    }
    let circles = moment.counted().circles();
    let mut named: Vec<_> = circles
        .filter(|circle| circle.payload().name.starts_with(text))
        .collect();
    // What begins so is meant only if nothing is called so.
    if named.iter().any(|circle| circle.payload().name == text) {
        named.retain(|circle| circle.payload().name == text);
    }
    match &named[..] {
        [one] => Ok(*one.cid()),
        [] => Err(Usage(format!(
            "no circle {text:?}; `allod circle list` shows them"
        ))
        .into()),
        several => Err(Usage(format!(
            "{text:?} means {} circles; give the CID",
            several.len()
        ))
        .into()),
    }
}
