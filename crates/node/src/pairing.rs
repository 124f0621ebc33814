//! Pairing over the network: the driver of the machines of `allod_identity::pairing` (PAIR).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use allod_identity::DeviceId;
use allod_identity::pairing::{
    Digits, Guest, GuestStep, Host, HostStep, Message, Offer, PairError, PairingCode, SPACES_MAX,
    Secret, Welcome,
};
use allod_quic::{Connection, Endpoint, QuicError, Stream, StreamKind};
use allod_repo::{Repo, SpaceId};
use allod_sync::Ticket;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::clock::now_ms;
use crate::error::NodeError;
use crate::heal::in_time;
use crate::home::random;
use crate::hooks::lock;
use crate::identity::IdentityError;
use crate::net::{dial, dial_by};
use crate::node::Node;

/// How long the last word of a pairing may take to arrive.
const LAST_WORD_TIMEOUT: Duration = Duration::from_secs(5);

/// Events of a pairing that wait for whoever made the code: a pairing has three, and a code three tries.
const EVENTS_MAX: usize = 16;

/// What happens to a code that waits.
#[derive(Debug)]
#[non_exhaustive]
pub enum PairingEvent {
    /// A device has the code. Let it in only if it shows the same digits.
    Ask {
        /// What it shows, if nobody is between.
        digits: Digits,
        /// The device.
        device: DeviceId,
        /// What it calls itself.
        name: String,
        /// The person's answer.
        answer: oneshot::Sender<bool>,
    },
    /// The device acts for the agent.
    Added(DeviceId),
    /// The device has all that it needs.
    Done,
    /// A try came to nothing, or a device that was let in went away before it was done. The code waits on, unless
    /// `is_over`.
    Failed {
        /// Why; what the person here is to know of it, which the other device is not told.
        error: NodeError,
        /// Whether the code is gone.
        is_over: bool,
    },
}

/// The code that waits for a device: one at a time (PAIR-3).
#[derive(Debug, Default)]
pub(crate) struct Pairings(Arc<Mutex<Option<Waiting>>>);

#[derive(Debug)]
struct Waiting {
    offer: Offer,
    tell: mpsc::Sender<PairingEvent>,
}

/// A pairing that runs; the code is free again when it ends, however that is.
struct Running {
    waiting: Arc<Mutex<Option<Waiting>>>,
    tell: mpsc::Sender<PairingEvent>,
    is_ended: bool,
}

impl Running {
    /// Ends it; whether the code is gone.
    fn end(&mut self, outcome: Result<(), &PairError>) -> bool {
        self.is_ended = true;
        let mut waiting = lock(&self.waiting);
        // Another code may wait by now.
        let Some(mine) = waiting
            .as_mut()
            .filter(|waiting| waiting.tell.same_channel(&self.tell))
        else {
            return true;
        };
        let goes_on = mine.offer.end(outcome);
        if !goes_on {
            *waiting = None;
        }
        !goes_on
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_ended {
            self.end(Err(&PairError::Frame));
        }
    }
}

impl Pairings {
    fn begin(&self, guest: DeviceId, nonce: [u8; 32]) -> Result<(Host, Running), PairError> {
        let mut waiting = lock(&self.0);
        let Some(mine) = waiting.as_mut().filter(|waiting| !waiting.tell.is_closed()) else {
            return Err(PairError::Expired);
        };
        let host = mine.offer.begin(guest, nonce, now_ms())?;
        let running = Running {
            waiting: Arc::clone(&self.0),
            tell: mine.tell.clone(),
            is_ended: false,
        };
        Ok((host, running))
    }
}

impl Node {
    /// Makes a code for another device of this agent, which leads to `addrs`. What happens is told until the receiver is
    /// dropped; the code before this one is gone. The node has to be [serving](Self::serve).
    pub fn offer_pairing(
        &self,
        addrs: Vec<String>,
    ) -> Result<(PairingCode, mpsc::Receiver<PairingEvent>), NodeError> {
        // Better now than when the device is there.
        self.agent_key(&*self.own_log()?)?;
        let device = self.device()?;
        let secret = Secret(random()?);
        let (tell, told) = mpsc::channel(EVENTS_MAX);
        let offer = Offer::new(secret.clone(), device, now_ms());
        *lock(&self.pairings().0) = Some(Waiting { offer, tell });
        let device = Some(device);
        let code = PairingCode {
            addrs,
            device,
            secret,
        };
        Ok((code, told))
    }

    /// Answers a device that wants to be paired.
    pub(crate) async fn serve_pair(
        &self,
        connection: &Connection,
        mut stream: Stream,
    ) -> Result<(), NodeError> {
        let first = in_time(stream.recv()).await?.ok_or(QuicError::FrameCut)?;
        let (host, mut running) = match self.pairings().begin(connection.peer(), random()?) {
            Ok(begun) => begun,
            Err(error) => {
                stream.send(error.refusal()).await?;
                return Ok(stream.finish()?);
            }
        };
        match self.host(host, &mut stream, first, &mut running).await {
            Ok(()) => Ok(stream.finish()?),
            Err(error) => {
                let told = match &error {
                    NodeError::Pair(error) => error,
                    // The line was cut, or the store failed: the code may be tried again, and strangers learn no more.
                    _ => &PairError::Fault,
                };
                let is_over = running.is_ended || running.end(Err(told));
                let refusal = told.refusal();
                // First, as whoever is told of it may end this process.
                drop(timeout(LAST_WORD_TIMEOUT, send_last(stream, refusal)).await);
                drop(
                    running
                        .tell
                        .try_send(PairingEvent::Failed { error, is_over }),
                );
                Ok(())
            }
        }
    }

    async fn host(
        &self,
        mut host: Host,
        stream: &mut Stream,
        first: Bytes,
        running: &mut Running,
    ) -> Result<(), NodeError> {
        let mut frame = first;
        let (digits, name) = loop {
            match host.handle(&frame)? {
                HostStep::Send(frame) => stream.send(frame).await?,
                HostStep::Ask {
                    frame,
                    digits,
                    name,
                } => {
                    stream.send(frame).await?;
                    break (digits, name);
                }
                _ => return Err(PairError::Frame.into()),
            }
            frame = in_time(stream.recv()).await?.ok_or(QuicError::FrameCut)?;
        };
        let device = host.guest();
        let (answer, answered) = oneshot::channel();
        let asked = PairingEvent::Ask {
            digits,
            device,
            name: name.clone(),
            answer,
        };
        running
            .tell
            .try_send(asked)
            .map_err(|_gone| PairError::Expired)?;
        let said = tokio::select! {
            said = answered => said.unwrap_or(false),
            // Nothing may come meanwhile but that the guest gave up.
            frame = stream.recv() => {
                let frame = frame?.ok_or(QuicError::FrameCut)?;
                host.handle(&frame)?;
                return Err(PairError::Frame.into());
            }
        };
        if !said {
            return Err(PairError::Digits.into());
        }
        let node = self.clone();
        let welcome = spawn_blocking(move || node.let_in(device, &name));
        let welcome = welcome.await.map_err(|_stopped| NodeError::Stopped)??;
        running.end(Ok(()));
        drop(running.tell.try_send(PairingEvent::Added(device)));
        stream.send(host.welcome(welcome)?).await?;
        // As long as the connection lives: the guest fetches its spaces.
        let frame = stream.recv().await?.ok_or(QuicError::FrameCut)?;
        host.handle(&frame)?;
        drop(running.tell.try_send(PairingEvent::Done));
        Ok(())
    }

    /// Adds a device, and says what it begins with.
    fn let_in(&self, device: DeviceId, name: &str) -> Result<Welcome, NodeError> {
        let known = self.own_log()?;
        // All that can fail, before the device has a say.
        let spaces = self.spaces()?.into_iter();
        let spaces = spaces.map(|(name, space)| (name, *space.cid()));
        // One that was let in before, and lost its way, is let in again.
        let log = if known.is_device(&device) {
            known
        } else {
            Arc::new(self.add_device(device, name)?)
        };
        self.touch();
        Ok(Welcome {
            agent: *log.agent(),
            events: log
                .known()
                .map(|event| event.bytes().to_vec().into())
                .collect(),
            spaces: spaces.take(SPACES_MAX).collect(),
        })
    }

    /// Dials the host of a code and proves to have it, in a home that acts for nobody.
    ///
    /// # Errors
    /// [`NodeError::Pair`] with what the host, or this side, has against it; [`IdentityError::HasAgent`].
    pub async fn begin_pairing(
        &self,
        endpoint: &Endpoint,
        code: &PairingCode,
    ) -> Result<Joining, NodeError> {
        let config = self.config();
        if let Some(agent) = config.agent {
            return Err(IdentityError::HasAgent(agent).into());
        }
        if code.device == Some(self.device()?) {
            return Err(NodeError::OwnDevice);
        }
        let connection = match code.device {
            Some(device) => dial(endpoint, device, &code.addrs).await?,
            None => {
                let whoever = |addr| endpoint.connect_to_any(addr);
                dial_by(&whoever, "the other device".to_owned(), &code.addrs).await?
            }
        };
        let mut stream = connection.open(StreamKind::Pair).await?;
        let who = (self.device()?, config.device_name.as_str());
        let (mut guest, hello) = Guest::new(code.secret.clone(), who, connection.peer(), random()?);
        stream.send(hello).await?;
        loop {
            let frame = in_time(stream.recv()).await?.ok_or(QuicError::FrameCut)?;
            match guest.handle(&frame)? {
                GuestStep::Send(frame) => stream.send(frame).await?,
                GuestStep::Show(digits) => {
                    let mut addrs = code.addrs.clone();
                    addrs.insert(0, connection.remote_addr().to_string());
                    addrs.dedup();
                    return Ok(Joining {
                        guest,
                        stream,
                        connection,
                        addrs,
                        digits,
                    });
                }
                _ => return Err(PairError::Frame.into()),
            }
        }
    }
}

/// Sends what ends a pairing, and waits until it has arrived.
async fn send_last(mut stream: Stream, last: Bytes) -> Result<(), NodeError> {
    stream.send(last).await?;
    stream.finish()?;
    let (mut send, _recv) = stream.split();
    Ok(send.finished().await?)
}

/// A pairing of which both sides have the code, seen from the new device.
#[derive(Debug)]
pub struct Joining {
    guest: Guest,
    stream: Stream,
    connection: Connection,
    addrs: Vec<String>,
    digits: Digits,
}

impl Joining {
    /// What both devices show.
    #[must_use]
    pub const fn digits(&self) -> Digits {
        self.digits
    }

    /// Gives up: the person said that the digits differ.
    pub async fn refuse(self) -> Result<(), NodeError> {
        send_last(self.stream, PairError::Digits.refusal()).await
    }

    /// Waits for the person at the other device, and makes this device act for the agent. Which spaces the agent has there.
    pub async fn wait(&mut self, node: &Node) -> Result<Vec<(String, SpaceId)>, NodeError> {
        let frame = self.stream.recv().await?.ok_or(QuicError::FrameCut)?;
        let GuestStep::Welcome(welcome) = self.guest.handle(&frame)? else {
            return Err(PairError::Frame.into());
        };
        let events = welcome.events.into_iter();
        let events: Vec<Bytes> = events.map(|event| event.into_vec().into()).collect();
        let (node, agent) = (node.clone(), welcome.agent);
        let (host, addrs) = (self.host(), self.addrs.clone());
        let adopted = spawn_blocking(move || {
            node.adopt(agent, &events)?;
            // It is dialled from now on, also if there is no space yet.
            node.note_own_addrs(host, &addrs, true)
        });
        adopted.await.map_err(|_stopped| NodeError::Stopped)??;
        let spaces = welcome.spaces.into_iter();
        Ok(spaces
            .map(|(name, space)| (name, SpaceId::from_cid(space)))
            .collect())
    }

    /// The other device.
    #[must_use]
    pub fn host(&self) -> DeviceId {
        self.connection.peer()
    }

    /// Joins a space that the other device has, as a device of its agent.
    pub async fn join(
        &self,
        node: &Node,
        endpoint: &Endpoint,
        (name, space): (&str, SpaceId),
    ) -> Result<Repo, NodeError> {
        let ticket = Ticket {
            addrs: self.addrs.clone(),
            device: self.host(),
            // A device of a member needs no secret (SYNC-20).
            secret: random()?,
            space,
        };
        node.join(endpoint, &ticket, Some(name), None).await
    }

    /// Tells the other device that it is needed no longer.
    pub async fn done(self) -> Result<(), NodeError> {
        send_last(self.stream, Message::Done.encode()).await
    }
}
