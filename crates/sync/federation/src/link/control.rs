//! What is asked of a link from here, what the peer complains of, and what time does to it (FED-10, FED-14, FED-24).

use super::{Command, Link, Phase, Role};
use crate::event::{Event, Status};
use crate::limits::{HANDSHAKE_MS, PING_MS, SILENCE_MS, close};
use crate::message::Message;

impl Link {
    pub(super) fn on_command(&mut self, now_ms: u64, command: Command) {
        match command {
            Command::Pause if self.status != Status::Paused => {
                self.set_paused(true);
                if self.role == Role::Client && self.phase == Phase::Open {
                    self.send(now_ms, &Message::Pause);
                }
            }
            Command::Resume if self.status == Status::Paused => {
                self.set_paused(false);
                if self.role == Role::Client && self.phase == Phase::Open {
                    self.send(now_ms, &Message::Resume);
                    // A server of the original drops what comes meanwhile (FED-24).
                    if !self.can("cursors") {
                        self.ask_for_the_past(now_ms);
                    }
                }
            }
            Command::Pause | Command::Resume => {}
            Command::Send(delta) => self.enqueue(delta),
            Command::Disconnect => self.close(close::NORMAL, "disconnected", Status::Disconnected),
            Command::Leave => self.close(close::GOING_AWAY, "going away", Status::Disconnected),
        }
    }

    pub(super) fn set_paused(&mut self, paused: bool) {
        if self.phase != Phase::Open || paused == (self.status == Status::Paused) {
            return;
        }
        self.pump.set_paused(paused);
        if paused {
            self.status = Status::Paused;
            self.event(Event::Paused);
        } else {
            self.status = if self.peer.syncs {
                Status::Syncing
            } else {
                Status::Connected
            };
            self.event(Event::Resumed);
        }
    }

    pub(super) fn on_tick(&mut self, now_ms: u64) {
        if self.phase != Phase::Open && now_ms >= self.begun_ms.saturating_add(HANDSHAKE_MS) {
            self.close(close::POLICY, "no handshake in time", Status::Error);
            return;
        }
        if now_ms < self.read_at_ms || self.inbound.is_full() {
            // It is not listened to, so it cannot be heard.
            self.heard_ms = self.heard_ms.max(now_ms);
        }
        if now_ms >= self.heard_ms.saturating_add(SILENCE_MS) {
            self.close(close::NORMAL, "the peer is silent", Status::Error);
            return;
        }
        if self.phase == Phase::Open && now_ms >= self.pinged_ms.saturating_add(PING_MS) {
            self.pinged_ms = now_ms;
            // A server pings only who is silent: clients of the original do not expect it (FED-14).
            let is_silent = now_ms >= self.heard_ms.saturating_add(PING_MS + PING_MS / 2);
            if self.role == Role::Client || is_silent {
                self.send(now_ms, &Message::Ping);
            }
        }
        self.resend(now_ms);
    }

    pub(super) fn on_error(&mut self, now_ms: u64, code: &str, message: &str, fatal: bool) {
        let reason = format!("{code}: {message}");
        self.event(Event::Error {
            reason: reason.clone(),
        });
        if fatal {
            self.close(close::NORMAL, &reason, Status::Error);
        } else if matches!(code, "SYNC_NOT_SUPPORTED" | "SYNC_ERROR") {
            // The past will not come; what comes now does.
            self.asking = None;
            if self.peer.syncs {
                self.on_sync_complete(0, None);
                self.peer.is_whole = false;
            }
            self.pump_everything_if_off(now_ms);
        }
    }
}
