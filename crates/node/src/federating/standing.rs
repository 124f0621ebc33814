//! How links stand, as far as it was heard (FED-41).

use std::collections::BTreeMap;

use allod_deltas::{DeltaStore as _, PAGE_MAX};
use allod_federation::{Event, LinkStats, PositionStore as _, RemoteLink, Status};
use allod_repo::SpaceId;

use super::register::{FederatingError, LinkState};
use super::settings::LinkDefinition;
use crate::clock::now_ms;
use crate::error::NodeError;
use crate::hooks::lock;
use crate::http::HttpToken;
use crate::node::Node;
use crate::shown::key_text;

/// How a link stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LinkStanding {
    /// Its name; none for one that a peer has open.
    pub name: Option<String>,
    /// The space.
    pub space: SpaceId,
    /// What it is; none for one that a peer has open.
    pub definition: Option<LinkDefinition>,
    /// `connected`, `connecting`, `syncing`, `paused`, `error`, `disconnected`, or `waiting` for a node that runs.
    pub status: &'static str,
    /// What is known of it.
    pub state: LinkState,
    /// Deltas of this side that the peer has not acknowledged yet.
    pub pending: u64,
    /// Whether there are more than were counted.
    pub pending_more: bool,
}

/// What was heard of a link.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    /// Whether it goes on.
    is_open: bool,
    quarantined: u64,
    sent_ms: Option<u64>,
    received_ms: Option<u64>,
    words: Option<String>,
}

impl Node {
    /// Why a running node does not federate a space, cannot tell its entries or bring deltas into it, or what it leaves
    /// out, if it is so; and why its token lets nobody in. It tries again.
    #[must_use]
    pub fn federation_trouble(&self, space: SpaceId) -> Option<String> {
        let federating = self.federating();
        let mut words = Vec::new();
        words.extend(lock(&federating.broken).get(&space).cloned());
        words.extend(lock(&federating.troubles).get(&space).cloned());
        let left_out = lock(&federating.left_out).get(&space).cloned();
        let left_out = left_out.unwrap_or_default();
        for (count, what) in [
            (left_out.told, "entries are not told"),
            (left_out.brought, "objects are left out"),
            (left_out.refused, "keys are refused"),
        ] {
            if count > 0 {
                words.push(format!("{count} {what}"));
            }
        }
        if let Some(refusal) = left_out.refusal {
            words.push(format!("{}: {}", key_text(&refusal.key), refusal.words));
        }
        let shared = self.federations().shared(space).ok().flatten();
        let token = shared.and_then(|shared| shared.token);
        if let Some(Err(error)) = token.map(|path| HttpToken::read(&path)) {
            words.push(format!("no token opens it: {error}"));
        }
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// How links stand: those of this node by name, and then those that peers have open.
    pub fn link_standings(&self) -> Result<Vec<LinkStanding>, NodeError> {
        let register = self.federations();
        let mut standings = Vec::new();
        for (name, definition) in register.links()? {
            // One that cannot be read is in no state: `federate list` has it.
            if let Ok(definition) = definition {
                standings.push(self.link_standing(&name, definition)?);
            }
        }
        for (space, running) in &*lock(&self.federating().running) {
            let heard = lock(&running.heard);
            let links = running.federation.links().into_iter();
            for link in links.filter(|link| link.remote_url().is_none()) {
                let before = LinkState::default();
                standings.push(LinkStanding {
                    name: None,
                    space: *space,
                    definition: None,
                    status: word(link.status()),
                    state: state(&before, &link, heard.get(link.id())),
                    pending: 0,
                    pending_more: false,
                });
            }
        }
        Ok(standings)
    }

    fn link_standing(
        &self,
        name: &str,
        definition: LinkDefinition,
    ) -> Result<LinkStanding, NodeError> {
        let register = self.federations();
        let damaged = || FederatingError::Damaged(name.to_owned());
        let space: SpaceId = definition.space.parse().map_err(|_error| damaged())?;
        let (mut status, mut known) = ("waiting", register.state(name)?);
        if let Some(running) = lock(&self.federating().running).get(&space)
            && let Some(live) = running.links.get(name)
        {
            status = word(live.link.status());
            known = state(
                &live.before,
                &live.link,
                lock(&running.heard).get(live.link.id()),
            );
        } else if let Some(words) = lock(&self.federating().failed).get(name) {
            status = "error";
            known.words = Some(words.clone());
        }
        if definition.paused {
            status = "paused";
        }
        let (pending, pending_more) = self.pending(space, &definition)?;
        Ok(LinkStanding {
            name: Some(name.to_owned()),
            space,
            definition: Some(definition),
            status,
            state: known,
            pending,
            pending_more,
        })
    }

    /// How many deltas came to be here since the place that the server has all before.
    fn pending(
        &self,
        space: SpaceId,
        definition: &LinkDefinition,
    ) -> Result<(u64, bool), NodeError> {
        let register = self.federations();
        let shared = register.shared(space)?;
        let Some(shared) = shared else {
            return Ok((0, false));
        };
        let positions = register.positions(space, &shared);
        let Some(ours) = positions.load(&definition.url).ours else {
            return Ok((0, false));
        };
        if definition.mode == "pull" {
            return Ok((0, false));
        }
        let deltas = self.deltas(&self.repo(space)?, &shared.branch)?;
        match deltas.arrivals(ours, PAGE_MAX) {
            Ok(arrivals) => Ok((arrivals.deltas.len() as u64, arrivals.more)),
            // Then everything is gone through again.
            Err(allod_deltas::StoreFault::Expired) => Ok((0, true)),
            Err(fault) => Err(fault.into()),
        }
    }
}

pub(super) fn hear(all: &mut BTreeMap<String, Heard>, link: &str, event: &Event) {
    match event {
        Event::Connecting { .. } => all.entry(link.to_owned()).or_default().is_open = true,
        Event::Connected { .. } => {
            let heard = all.entry(link.to_owned()).or_default();
            (heard.is_open, heard.words) = (true, None);
        }
        Event::DeltaSent { .. } => {
            all.entry(link.to_owned()).or_default().sent_ms = Some(now_ms());
        }
        Event::DeltaReceived { .. } => {
            all.entry(link.to_owned()).or_default().received_ms = Some(now_ms());
        }
        Event::DeltaQuarantined { .. } => all.entry(link.to_owned()).or_default().quarantined += 1,
        Event::Error { reason } => {
            all.entry(link.to_owned()).or_default().words = Some(reason.clone());
        }
        Event::Disconnected { reason } => {
            let heard = all.entry(link.to_owned()).or_default();
            (heard.is_open, heard.words) = (false, Some(reason.clone()));
        }
        _ => {}
    }
    // Links of peers come and go; a thousand may be open, and what was heard of others is let go of.
    if all.len() > 2 * allod_federation::CONNECTIONS_MAX {
        all.retain(|_, heard| heard.is_open);
    }
}

/// What is known of a link: what was before it was opened, and what it did since.
pub(super) fn state(before: &LinkState, link: &RemoteLink, heard: Option<&Heard>) -> LinkState {
    let LinkStats {
        deltas_sent,
        deltas_received,
        deltas_rejected,
        deltas_refused,
        bytes_sent,
        bytes_received,
        wire_bytes_sent,
        wire_bytes_received,
        ..
    } = link.stats();
    let heard = heard.cloned().unwrap_or_default();
    let is_up = matches!(
        link.status(),
        Status::Connected | Status::Syncing | Status::Paused
    );
    LinkState {
        sent: before.sent + deltas_sent,
        received: before.received + deltas_received,
        bytes_sent: before.bytes_sent + bytes_sent,
        bytes_received: before.bytes_received + bytes_received,
        wire_bytes_sent: before.wire_bytes_sent + wire_bytes_sent,
        wire_bytes_received: before.wire_bytes_received + wire_bytes_received,
        rejected: before.rejected + deltas_rejected,
        refused: before.refused + deltas_refused,
        quarantined: before.quarantined + heard.quarantined,
        remote: link.remote_system_id().or_else(|| before.remote.clone()),
        sent_ms: heard.sent_ms.or(before.sent_ms),
        received_ms: heard.received_ms.or(before.received_ms),
        words: heard.words.filter(|_| !is_up),
    }
}

const fn word(status: Status) -> &'static str {
    match status {
        Status::Connecting => "connecting",
        Status::Connected => "connected",
        Status::Syncing => "syncing",
        Status::Paused => "paused",
        Status::Error => "error",
        _ => "disconnected",
    }
}
