//! The binary as people use it: processes, homes, sockets.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking, and say what they skip"
)]

mod access;
mod asking;
mod brokers;
mod doors;
mod events;
mod faults;
mod federating;
mod guardians;
mod healing;
mod home;
mod hooks;
mod http;
mod http_client;
mod http_events;
mod http_hostile;
mod http_rights;
mod http_serving;
mod http_tokens;
mod http_writes;
mod identity;
mod imports;
mod in_parts;
mod joining;
mod keeping;
mod kill;
mod listing;
mod merging;
mod outside;
mod own;
mod parts;
mod patching;
mod payloads;
mod positions;
mod red_team;
mod remotes;
mod running;
mod sinks;
mod sources;
mod sql;
mod status;
mod tools;
mod touch;
mod tour;
mod trusting;
mod views;
mod watched;
mod watching;
mod working;
