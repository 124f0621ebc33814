//! How both sides come to agree (FED-10 to FED-13, FED-33).

use std::collections::BTreeSet;

use allod_deltas::Cursor;
use allod_identity::PublicKey;

use super::proof::{Answer, check, prove};
use super::pump::From;
use super::{Deflate, Link, Phase, Positions, Role};
use crate::config::{FederationConfig, InitialSync};
use crate::event::{Event, Status};
use crate::limits::close;
use crate::message::{Message, PROTOCOL, Proof};

/// What this side can do beyond the protocol (FED-30).
pub(crate) const CAPABILITIES: [&str; 6] = [
    "auth",
    "cursors",
    "deflate",
    "delta_batch",
    "reconcile",
    "signed_deltas",
];

impl Link {
    pub(super) fn say_hello(&mut self, now_ms: u64) {
        self.phase = Phase::AwaitAck;
        let challenge = self.rules.authenticate.then(|| self.nonce.clone());
        let hello = Message::Hello {
            system_id: self.me.system_id.clone(),
            config: Box::new(self.config.clone()),
            protocol: PROTOCOL.to_owned(),
            capabilities: self.capabilities(),
            challenge: challenge.filter(|_| self.rules.extensions),
        };
        self.send(now_ms, &hello);
    }

    /// Whether this side has a capability.
    fn offers(&self, capability: &str) -> bool {
        let is_off = capability == "deflate" && self.rules.deflate == Deflate::Never;
        self.rules.extensions && !is_off
    }

    /// Whether the peer and this side both have a capability.
    pub(super) fn can(&self, capability: &str) -> bool {
        self.offers(capability) && self.peer.capabilities.contains(capability)
    }

    fn capabilities(&self) -> BTreeSet<String> {
        let all = CAPABILITIES.into_iter();
        let own = all.filter(|capability| self.offers(capability));
        own.map(str::to_owned).collect()
    }

    pub(super) fn on_handshake(&mut self, now_ms: u64, message: Message) {
        match (self.phase.clone(), message) {
            (
                Phase::AwaitHello,
                Message::Hello {
                    system_id,
                    config,
                    protocol,
                    capabilities,
                    challenge,
                },
            ) => {
                self.peer.system_id = system_id;
                self.peer.capabilities = capabilities;
                self.peer.challenge = challenge;
                self.on_hello(now_ms, *config, &protocol);
            }
            (Phase::AwaitAuth, Message::AuthResponse { proof }) => {
                let answer = self.answer("client");
                if self.believes(check(&proof, &answer)) {
                    self.open_server(now_ms);
                } else {
                    self.refuse(
                        now_ms,
                        "AUTH_FAILED",
                        "the key was not proved, or is not allowed",
                    );
                }
            }
            (
                Phase::AwaitAck,
                Message::HelloAck {
                    system_id,
                    link_id,
                    protocol,
                    capabilities,
                    store,
                    proof,
                },
            ) => {
                if protocol != PROTOCOL {
                    self.close(close::PROTOCOL, "another protocol", Status::Error);
                    return;
                }
                self.peer.system_id = system_id;
                self.peer.capabilities = capabilities;
                if !link_id.is_empty() {
                    self.name = link_id;
                }
                self.on_hello_ack(now_ms, store, proof);
            }
            (Phase::AwaitAck, Message::AuthChallenge { nonce, system_id }) => {
                self.on_challenge(now_ms, nonce, system_id);
            }
            // Before the server agreed, whatever it complains of ends the attempt.
            (Phase::AwaitAck, Message::Error { code, message, .. }) => {
                let reason = format!("{code}: {message}");
                self.close(close::NORMAL, &reason, Status::Error);
            }
            (_, other) => {
                let words = format!("{} before the handshake", other.name());
                self.on_fault(now_ms, &words);
            }
        }
    }

    fn on_hello(&mut self, now_ms: u64, config: FederationConfig, protocol: &str) {
        if protocol != PROTOCOL {
            let words = format!("this is {PROTOCOL}");
            self.refuse(now_ms, "PROTOCOL_MISMATCH", &words);
            return;
        }
        self.config = config;
        if !self.rules.authenticate {
            self.open_server(now_ms);
            return;
        }
        if !self.can("auth") {
            self.refuse(now_ms, "AUTH_REQUIRED", "a key is to be proved");
            return;
        }
        self.phase = Phase::AwaitAuth;
        // Who is asked signs to whom: so the name of this side comes with the challenge.
        let challenge = Message::AuthChallenge {
            nonce: self.nonce.clone(),
            system_id: self.me.system_id.clone(),
        };
        self.send(now_ms, &challenge);
    }

    fn open_server(&mut self, now_ms: u64) {
        let challenge = self.peer.challenge.take();
        let proof = challenge
            .zip(self.me.key.as_ref())
            .and_then(|(nonce, key)| {
                let answer = Answer {
                    nonce,
                    peer: self.peer.system_id.clone(),
                    role: "server".to_owned(),
                    system: self.me.system_id.clone(),
                };
                prove(key, answer)
            });
        let ack = Message::HelloAck {
            system_id: self.me.system_id.clone(),
            link_id: self.name.clone(),
            protocol: PROTOCOL.to_owned(),
            capabilities: self.capabilities(),
            store: self.rules.extensions.then(|| self.me.store.clone()),
            proof,
        };
        self.send(now_ms, &ack);
        self.opened(now_ms);
        if self.rules.auto_broadcast && self.config.mode.server_sends() {
            self.pump.begin(From::Now);
        }
    }

    /// What the peer is to have signed, if it proves a key in this role.
    fn answer(&self, role: &str) -> Answer {
        Answer {
            nonce: self.nonce.clone(),
            peer: self.me.system_id.clone(),
            role: role.to_owned(),
            system: self.peer.system_id.clone(),
        }
    }

    /// Whether a key was proved that is allowed, and is not another than the peer is named by.
    fn believes(&mut self, key: Option<PublicKey>) -> bool {
        let Some(key) = key else { return false };
        let is_named =
            !self.peer.system_id.starts_with("did:key:") || self.peer.system_id == key.to_string();
        let is_allowed = self
            .rules
            .keys
            .as_ref()
            .is_none_or(|keys| keys.contains(&key));
        self.peer.key = Some(key);
        is_named && is_allowed
    }

    fn on_challenge(&mut self, now_ms: u64, nonce: String, peer: String) {
        let answer = Answer {
            nonce,
            peer,
            role: "client".to_owned(),
            system: self.me.system_id.clone(),
        };
        let proof = self.me.key.as_ref().and_then(|key| prove(key, answer));
        match proof {
            Some(proof) => self.send(now_ms, &Message::AuthResponse { proof }),
            None => self.close(close::NORMAL, "the server asks for a key", Status::Error),
        }
    }

    fn on_hello_ack(&mut self, now_ms: u64, store: Option<String>, proof: Option<Proof>) {
        if self.rules.authenticate {
            let key = proof.and_then(|proof| check(&proof, &self.answer("server")));
            if !self.believes(key) {
                self.close(
                    close::POLICY,
                    "the server proved no key that is allowed",
                    Status::Error,
                );
                return;
            }
        }
        self.opened(now_ms);
        let (store, system) = (store.unwrap_or_default(), &self.peer.system_id);
        let remote = Some(format!("{} {system} {store}", self.me.store));
        if self.positions.remote != remote {
            self.positions = Positions {
                remote,
                ..Positions::default()
            };
        }
        let from = match self.positions.ours {
            Some(ours) => From::Cursor(ours),
            // Whoever wants nothing of the past gives nothing of it either.
            None if self.config.initial_sync == InitialSync::None => From::Now,
            None => From::Cursor(Cursor::default()),
        };
        let reconciles = self.reconciles();
        self.ask_for_the_past(now_ms);
        if self.rules.auto_broadcast && self.config.mode.client_sends() && !reconciles {
            self.pump.begin(from);
        }
    }

    fn opened(&mut self, now_ms: u64) {
        self.phase = Phase::Open;
        self.status = Status::Connected;
        self.pinged_ms = now_ms;
        self.stats.connected_at_ms = Some(now_ms);
        self.event(Event::Connected {
            remote_system_id: self.peer.system_id.clone(),
        });
    }

    /// Whether the past is brought over by what differs (FED-31).
    fn reconciles(&self) -> bool {
        let have_met = if self.config.mode.server_sends() {
            self.positions.theirs.is_some()
        } else {
            self.positions.ours.is_some()
        };
        self.can("reconcile")
            && self.config.initial_sync == InitialSync::Full
            && !have_met
            && self.rules.auto_broadcast
    }

    /// Asks for the past as the config says (FED-12, FED-31, FED-32).
    pub(super) fn ask_for_the_past(&mut self, now_ms: u64) {
        if self.config.initial_sync == InitialSync::None {
            return;
        }
        if self.reconciles() {
            self.begin_to_ask();
        } else if self.config.mode.server_sends() {
            self.request_sync(now_ms);
        }
    }

    /// Asks for what was not seen yet, or for everything that the config wants.
    pub(super) fn request_sync(&mut self, now_ms: u64) {
        debug_assert_eq!(self.role, Role::Client, "servers ask for nothing");
        let cursor = self.positions.theirs.clone();
        self.peer.syncs = true;
        let request = Message::SyncRequest {
            filter: self.config.pull_filter.clone(),
            from_timestamp: self.config.sync_from_timestamp,
            cursor: cursor.filter(|_| self.can("cursors")),
        };
        self.send(now_ms, &request);
    }

    /// Tells the peer why it is let go, and lets it go.
    fn refuse(&mut self, now_ms: u64, code: &str, words: &str) {
        let error = Message::Error {
            code: code.to_owned(),
            message: words.to_owned(),
            fatal: true,
        };
        self.send(now_ms, &error);
        self.close(close::POLICY, words, Status::Error);
    }
}
