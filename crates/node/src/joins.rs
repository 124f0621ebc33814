//! Joining a space, and letting others join.

use allod_identity::DeviceId;
use allod_quic::{Connection, Endpoint, QuicError, StreamKind};
use allod_repo::{Part, Repo};
use allod_sync::{JoinReply, JoinRequest, Ticket, Welcome, admit, enter};

use crate::clock::now_ms;
use crate::error::NodeError;
use crate::heal::in_time;
use crate::net::dial;
use crate::node::Node;
use crate::remotes::ORIGIN;

impl Node {
    /// Joins the space of a ticket under the name `name`, or the one its owner gave it. The node
    /// that the ticket leads to becomes the remote `origin` if the space has none of this name. With a `part`
    /// no more of it is kept.
    ///
    /// # Errors
    /// [`NodeError::KeptOtherwise`] if the space is here, and another part of it is kept.
    pub async fn join(
        &self,
        endpoint: &Endpoint,
        ticket: &Ticket,
        name: Option<&str>,
        part: Option<&Part>,
    ) -> Result<Repo, NodeError> {
        if ticket.device == self.device()? {
            return Err(NodeError::OwnTicket);
        }
        let spaces = self.spaces()?;
        let here = spaces.iter().find(|(_, id)| *id == ticket.space);
        match (name, here.map(|(name, _)| name)) {
            (Some(name), Some(known)) if name != known => {
                return Err(NodeError::HasName(known.clone()));
            }
            (Some(name), None) => self.check_free(name)?,
            _ => {}
        }
        if let (Some((name, id)), Some(part)) = (here, part)
            && self.repo(*id)?.part().as_deref() != Some(part)
        {
            return Err(NodeError::KeptOtherwise(name.clone()));
        }
        let connection = dial(endpoint, ticket.device, &ticket.addrs).await?;
        let asked = self.ask_to_join(&connection, ticket);
        let welcome = asked.await?;
        // Whoever asks for it wants it back, if it was left here.
        self.forget_left(ticket.space)?;
        self.enter_space(ticket, &welcome, (name, part), true)
    }

    /// Joins a space that another device of the agent told of, over the connection to it, under a name that is free here. It does
    /// not become the current space, and stays away if it was left here (PAIR-16).
    pub(crate) async fn join_own(
        &self,
        connection: &Connection,
        ticket: &Ticket,
        name: &str,
    ) -> Result<Repo, NodeError> {
        let welcome = self.ask_to_join(connection, ticket).await?;
        self.enter_space(ticket, &welcome, (Some(name), None), false)
    }

    /// Asks the device of a ticket, over the connection to it, to be let into the space.
    async fn ask_to_join(
        &self,
        connection: &Connection,
        ticket: &Ticket,
    ) -> Result<Welcome, NodeError> {
        let log = self.agents().key_log(&self.agent()?)?;
        let request = JoinRequest {
            agent: self.agent()?,
            events: log
                .known()
                .map(|event| event.bytes().to_vec().into())
                .collect(),
            secret: ticket.secret,
            space: ticket.space,
        };
        let mut stream = connection.open(StreamKind::Join).await?;
        stream.send(request.encode()).await?;
        stream.finish()?;
        let frame = in_time(stream.recv()).await?.ok_or(QuicError::FrameCut)?;
        let reply = JoinReply::decode(&frame).map_err(|error| NodeError::Session {
            code: "E_FRAME".to_owned(),
            reason: error.to_string(),
        })?;
        match reply {
            JoinReply::Welcome(welcome) => Ok(welcome),
            JoinReply::Refused { code, reason } => Err(NodeError::NotAdmitted { code, reason }),
        }
    }

    /// Keeps a space that this node was let into, and notes where it came from.
    fn enter_space(
        &self,
        ticket: &Ticket,
        welcome: &Welcome,
        (name, part): (Option<&str>, Option<&Part>),
        is_current: bool,
    ) -> Result<Repo, NodeError> {
        let entered = enter(&self.agents(), ticket.space, welcome, part)?.id();
        self.heed()?;
        // The one handle of this process on the space, which may be open already.
        let repo = self.repo(entered)?;
        let known = self.spaces()?.iter().any(|(_, id)| *id == repo.id());
        if !known {
            let name = name.unwrap_or(&repo.genesis().payload().name);
            self.register(&repo, name, is_current)?;
        }
        let unnamed = self.remote_named(&repo, ORIGIN)?.is_none();
        self.note_peer(&repo, ticket.device, |peer| {
            let fresh = ticket.addrs.iter().cloned();
            peer.addrs.splice(0..0, fresh);
            if unnamed && peer.name.is_none() {
                peer.name = Some(ORIGIN.to_owned());
            }
        })?;
        Ok(repo)
    }

    pub(crate) fn answer_join(&self, peer: DeviceId, frame: &[u8]) -> Result<JoinReply, NodeError> {
        let Ok(request) = JoinRequest::decode(frame) else {
            return Ok(JoinReply::Refused {
                code: "E_FRAME".to_owned(),
                reason: "the request is malformed".to_owned(),
            });
        };
        let Ok(repo) = self.repo(request.space) else {
            return Ok(JoinReply::no_such_ticket());
        };
        Ok(admit(
            &repo,
            &self.tickets(),
            &peer,
            &request,
            self.author()?,
            now_ms(),
        )?)
    }
}
