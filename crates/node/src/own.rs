//! What devices of one agent tell each other while both run: the log of the agent, and its spaces (PAIR-12 to PAIR-17).

mod tries;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use allod_blocks::{Batch, Expect};
use allod_identity::pairing::{OWN_ADDRS_MAX, OWN_SPACES_MAX, OwnMessage, OwnSpace, PairError};
use allod_identity::{DeviceId, KeyLog, Mark};
use allod_quic::{Connection, Endpoint, QuicError, Stream, StreamKind};
use allod_repo::SpaceId;
use allod_sync::{Backoff, Ticket};
use bytes::Bytes;
use serde_bytes::ByteBuf;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep, sleep_until};

use crate::error::NodeError;
use crate::heal::in_time;
use crate::home::random;
use crate::hooks::lock;
use crate::net::dial;
use crate::node::Node;
use crate::own::tries::{Due, Tries};

/// Where other devices of the agent were reached, by device.
const ADDRS: &[u8] = b"node/own/";

/// The least time between two looks at what there is to tell: all changes of a moment are told at once.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

/// What a device was told: the log of the agent, and which spaces are here.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Told {
    log: Mark,
    spaces: BTreeSet<SpaceId>,
}

impl Told {
    fn of(log: &KeyLog, spaces: &[(String, SpaceId)]) -> Self {
        Self {
            log: log.mark(),
            spaces: spaces.iter().map(|(_, space)| *space).collect(),
        }
    }
}

/// What the other devices of the agent were told since the node was opened.
#[derive(Debug, Default)]
pub(crate) struct OwnDevices(Mutex<BTreeMap<DeviceId, Told>>);

impl OwnDevices {
    /// A device is to be told once more.
    fn forget(&self, device: DeviceId) {
        lock(&self.0).remove(&device);
    }
}

fn addrs_ref(device: DeviceId) -> Vec<u8> {
    [ADDRS, device.key().as_bytes()].concat()
}

fn not_known() -> NodeError {
    NodeError::Session {
        code: "E_NOT_MEMBER".to_owned(),
        reason: "the other device does not know this one as one of its agent".to_owned(),
    }
}

impl Node {
    /// Tells the other devices of the agent which spaces there are, whenever that changed and they are there. Whoever cannot
    /// be told is tried again, after longer and longer.
    pub(crate) async fn keep_own_told(&self, endpoint: &Endpoint, backoff: Backoff) {
        let (mut changes, mut links) = (self.watch(), self.links().watch());
        let mut tries = Tries::new(backoff);
        let (mut telling, mut tasks) = (JoinSet::new(), HashMap::new());
        loop {
            let node = self.clone();
            let due = apart(move || node.own_due()).await;
            // What cannot be read now is looked at again.
            let (begun, again) = tries.begin(Instant::now(), due.unwrap_or_default());
            for (device, addrs) in begun {
                let (node, endpoint) = (self.clone(), endpoint.clone());
                let told = async move { node.tell_own(&endpoint, device, &addrs).await };
                tasks.insert(telling.spawn(told).id(), device);
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                _ = links.changed() => tries.came(|device| self.links().get(device).is_some()),
                Some(ended) = telling.join_next_with_id() => {
                    // One that panicked failed as others do.
                    let (task, told) = ended.unwrap_or_else(|error| (error.id(), Ok(false)));
                    if let Some(device) = tasks.remove(&task) {
                        let chance = random().map_or(0, u64::from_le_bytes);
                        tries.ended(Instant::now(), device, matches!(told, Ok(true)), chance);
                    }
                    continue;
                }
                () = sleep_until(again) => {}
            }
            sleep(LOOK_PAUSE).await;
        }
    }

    /// The other devices of the agent that were not told what is to be told now, and that a connection or an address leads
    /// to. One that is a peer of some space is dialled about that.
    fn own_due(&self) -> Result<Vec<Due>, NodeError> {
        let here = self.device()?;
        let Ok(log) = self.own_log() else {
            return Ok(Vec::new());
        };
        let others = log.devices().map(|(device, _)| *device);
        let others: Vec<DeviceId> = others.filter(|device| *device != here).collect();
        if others.is_empty() {
            return Ok(Vec::new());
        }
        let told = Told::of(&log, &self.own_spaces(&log)?);
        let mut due = Vec::new();
        for device in others {
            let is_linked = self.links().get(device).is_some();
            let is_told = lock(&self.own_devices().0).get(&device) == Some(&told);
            if is_linked && !is_told {
                due.push((device, Vec::new()));
            } else if !is_linked && !self.is_dialled(device)? {
                let addrs = self.own_addrs(device)?;
                due.extend((!addrs.is_empty()).then_some((device, addrs)));
            }
        }
        Ok(due)
    }

    /// Whether a device is a peer of some space, and so dialled by itself.
    fn is_dialled(&self, device: DeviceId) -> Result<bool, NodeError> {
        for (_, space) in self.spaces()? {
            let store = self.store().as_ref();
            let peer = self.known_peers().get(store, space, device)?;
            if peer.is_some_and(|peer| !peer.paused && !peer.addrs.is_empty()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The spaces here of which the agent is a member, at most as many as are told, by name.
    fn own_spaces(&self, log: &KeyLog) -> Result<Vec<(String, SpaceId)>, NodeError> {
        let mut own = Vec::new();
        for (name, space) in self.spaces()? {
            // One that cannot be read keeps no other from being told.
            let is_own = self
                .repo(space)
                .and_then(|repo| Ok(repo.is_member(log.agent())?));
            if matches!(is_own, Ok(true)) && own.len() < OWN_SPACES_MAX {
                own.push((name, space));
            }
        }
        Ok(own)
    }

    /// What a device is told of the spaces here, and which those are.
    fn own_list(&self, to: DeviceId) -> Result<(Vec<OwnSpace>, Told), NodeError> {
        let (log, here) = (self.own_log()?, self.device()?);
        // It may have been removed since it was heard.
        if !log.is_device(&to) {
            return Err(not_known());
        }
        let spaces = self.own_spaces(&log)?;
        let (told, mut list) = (Told::of(&log, &spaces), Vec::new());
        for (name, space) in spaces {
            let peers = self.peers_of(space)?.into_iter();
            let peers = peers.filter(|(device, peer)| {
                ![to, here].contains(device) && !peer.paused && !peer.addrs.is_empty()
            });
            let own = OwnSpace {
                name,
                space: *space.cid(),
                peers: peers.map(|(device, peer)| (device, peer.addrs)).collect(),
            };
            list.extend(own.bounded());
        }
        Ok((list, told))
    }

    fn log_message(&self) -> Result<Bytes, NodeError> {
        let log = self.own_log()?;
        let events = log
            .known()
            .map(|event| ByteBuf::from(event.bytes().to_vec()));
        Ok(OwnMessage::Log(events.collect()).encode())
    }

    /// Learns the log that another device told, and looks whether that is one of the agent's (PAIR-13).
    fn hear_log(&self, device: DeviceId, frame: &[u8]) -> Result<bool, NodeError> {
        let OwnMessage::Log(events) = OwnMessage::decode(frame)? else {
            return Err(PairError::Frame.into());
        };
        let events: Vec<Bytes> = events
            .into_iter()
            .map(|event| event.into_vec().into())
            .collect();
        let (agent, learned) = (self.agent()?, self.agents().learned());
        self.agents().learn(&agent, &events)?;
        if self.agents().learned() != learned {
            self.heed_later();
            self.touch();
        }
        let log = self.own_log()?;
        // A log that contradicts itself may have lost the event that removes the device.
        Ok(log.key().is_some() && log.is_device(&device))
    }

    /// Tells another device, on the connection to it or on one to be dialled; whether all that it told came here too.
    async fn tell_own(
        &self,
        endpoint: &Endpoint,
        device: DeviceId,
        addrs: &[String],
    ) -> Result<bool, NodeError> {
        let (connection, is_new) = match self.links().get(device) {
            Some(link) => (link, false),
            None => (dial(endpoint, device, addrs).await?, true),
        };
        if is_new {
            self.links().keep(&connection, true);
        }
        let told = self.tell_over(&connection).await;
        if told.is_err() {
            self.own_devices().forget(device);
            if is_new {
                self.links().remove(&connection);
            }
        }
        told
    }

    async fn tell_over(&self, connection: &Connection) -> Result<bool, NodeError> {
        let device = connection.peer();
        let mut stream = in_time(connection.open(StreamKind::Own)).await?;
        stream.send(self.log_message()?).await?;
        let heard = in_time(stream.recv()).await?.ok_or_else(not_known)?;
        let node = self.clone();
        let is_own = apart(move || node.hear_log(device, &heard)).await?;
        if !is_own {
            return Err(not_known());
        }
        let list = in_time(stream.recv()).await?.ok_or(QuicError::FrameCut)?;
        self.send_list(&mut stream, device).await?;
        stream.finish()?;
        self.note_own(connection, true)?;
        self.take_in(connection, &list).await
    }

    /// Answers another device that tells which spaces there are. Whoever is no device of the agent learns nothing.
    pub(crate) async fn serve_own(
        &self,
        connection: &Connection,
        mut stream: Stream,
    ) -> Result<(), NodeError> {
        let device = connection.peer();
        let heard = in_time(stream.recv()).await?.ok_or(QuicError::FrameCut)?;
        let node = self.clone();
        let is_own =
            apart(move || Ok(node.agent().is_ok() && node.hear_log(device, &heard)?)).await;
        if !matches!(is_own, Ok(true)) {
            return Ok(stream.finish()?);
        }
        let answered = self.answer_own(connection, stream).await;
        if answered.is_err() {
            self.own_devices().forget(device);
        }
        answered
    }

    async fn answer_own(
        &self,
        connection: &Connection,
        mut stream: Stream,
    ) -> Result<(), NodeError> {
        stream.send(self.log_message()?).await?;
        self.send_list(&mut stream, connection.peer()).await?;
        let list = in_time(stream.recv()).await?.ok_or(QuicError::FrameCut)?;
        stream.finish()?;
        self.links().keep(connection, false);
        self.note_own(connection, false)?;
        let _is_whole = self.take_in(connection, &list).await?;
        Ok(())
    }

    async fn send_list(&self, stream: &mut Stream, device: DeviceId) -> Result<(), NodeError> {
        let node = self.clone();
        let (list, told) = apart(move || node.own_list(device)).await?;
        in_time(stream.send(OwnMessage::Spaces(list).encode())).await?;
        lock(&self.own_devices().0).insert(device, told);
        Ok(())
    }

    /// Joins what another device told of and is not here, over the connection to it. Whether all of that is here now.
    async fn take_in(&self, connection: &Connection, list: &[u8]) -> Result<bool, NodeError> {
        let OwnMessage::Spaces(list) = OwnMessage::decode(list)? else {
            return Err(PairError::Frame.into());
        };
        let (mut is_whole, mut is_new) = (true, false);
        for own in list {
            let taken = self.take_in_one(connection, own).await;
            is_new |= matches!(taken, Ok(true));
            is_whole &= taken.is_ok();
        }
        if is_new {
            self.touch();
        }
        if !is_whole {
            // It is told once more, and tells once more what it has.
            self.own_devices().forget(connection.peer());
        }
        Ok(is_whole)
    }

    /// Joins a space, unless it is here or was left here; whether there is something new to exchange. Of one that is here the
    /// other device is a peer from now on.
    async fn take_in_one(&self, connection: &Connection, own: OwnSpace) -> Result<bool, NodeError> {
        let (space, spaces) = (SpaceId::from_cid(own.space), self.spaces()?);
        let (teller, addr) = (connection.peer(), connection.remote_addr().to_string());
        if spaces.iter().any(|(_, id)| *id == space) {
            let known = self
                .known_peers()
                .get(self.store().as_ref(), space, teller)?;
            if known.is_none() {
                let repo = self.repo(space)?;
                self.note_peer(&repo, teller, |peer| peer.note_addr(addr, false))?;
            }
            return Ok(known.is_none());
        }
        if spaces.len() >= OWN_SPACES_MAX || self.is_left(space)? {
            return Ok(false);
        }
        let ticket = Ticket {
            addrs: vec![addr],
            device: teller,
            // A device of a member needs no secret (SYNC-20).
            secret: random()?,
            space,
        };
        let name = self.free_name(&own.name, space)?;
        let repo = self.join_own(connection, &ticket, &name).await?;
        for (device, addrs) in own.peers {
            if device != self.device()? {
                self.note_peer(&repo, device, |peer| peer.addrs.extend(addrs))?;
            }
        }
        Ok(true)
    }

    /// The name that another device has for a space; if that is taken here, with the end of the id of the space.
    fn free_name(&self, name: &str, space: SpaceId) -> Result<String, NodeError> {
        if self.check_free(name).is_ok() {
            return Ok(name.to_owned());
        }
        let id = space.to_string();
        let end = id.get(id.len().saturating_sub(8)..).unwrap_or_default();
        let name = format!("{name}-{end}");
        self.check_free(&name)?;
        Ok(name)
    }

    /// Notes where another device of the agent was reached, so that it is dialled although no space is shared with it.
    fn note_own(&self, connection: &Connection, is_dialled: bool) -> Result<(), NodeError> {
        let addr = connection.remote_addr().to_string();
        self.note_own_addrs(connection.peer(), &[addr], is_dialled)
    }

    /// The same of some addresses; those of one that `is_dialled` go first.
    pub(crate) fn note_own_addrs(
        &self,
        device: DeviceId,
        addrs: &[String],
        is_dialled: bool,
    ) -> Result<(), NodeError> {
        let before = self.own_addrs(device)?;
        let mut all = before.clone();
        if is_dialled {
            all.splice(0..0, addrs.iter().cloned());
        } else if addrs.iter().any(|addr| !before.contains(addr)) {
            // What it dialled from may be a port for a moment, so that goes last.
            all.truncate(OWN_ADDRS_MAX - 1);
            all.extend_from_slice(addrs);
        }
        let mut seen = BTreeSet::new();
        all.retain(|addr| seen.insert(addr.clone()));
        all.truncate(OWN_ADDRS_MAX);
        if all == before {
            return Ok(());
        }
        let value = serde_json::to_vec(&all).unwrap_or_default();
        let mut batch = Batch::new();
        batch.set_ref(addrs_ref(device), Expect::Any, Some(value));
        let _outcome = self.store().commit(batch)?;
        Ok(())
    }

    fn own_addrs(&self, device: DeviceId) -> Result<Vec<String>, NodeError> {
        let noted = self.store().get_ref(&addrs_ref(device))?;
        let noted = noted.and_then(|noted| serde_json::from_slice(&noted).ok());
        Ok(noted.unwrap_or_default())
    }
}

/// Does work that visits the store, while the runtime goes on with the rest.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NodeError> + Send + 'static,
) -> Result<T, NodeError> {
    spawn_blocking(work)
        .await
        .map_err(|_stopped| NodeError::Stopped)?
}
