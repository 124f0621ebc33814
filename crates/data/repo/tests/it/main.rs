//! Tests of the repo through its public interface.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod accept;
mod arriving;
mod asking;
mod beside;
mod entries;
mod gc;
mod hooks;
mod joining;
mod merging;
mod model;
mod objects;
mod part;
mod parting;
mod patches;
mod picking;
mod properties;
mod protecting;
mod repair;
mod replicas;
mod rights;
mod space;
mod stashing;
mod tags;
mod tracking;
mod transactions;
mod trimming;
mod undoing;
mod vectors;
mod world;
