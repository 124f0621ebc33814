//! What a link is given when it begins.

use std::collections::BTreeSet;

use allod_deltas::{Cursor, DeltaFilter};
use allod_identity::{PublicKey, SecretKey};

use super::packing::Deflate;
use crate::event::LinkStats;
use crate::limits::{BYTES_PER_SECOND, DELTAS_PER_SECOND};
use crate::policy::TrustPolicy;

/// Who this side is.
#[derive(Clone, Debug)]
pub struct Me {
    /// Its id: the `did:key` of its key, if it has one.
    pub system_id: String,
    /// A name of its store that no other store has: cursors are worth nothing elsewhere.
    pub store: String,
    /// The key that it proves.
    pub key: Option<SecretKey>,
}

/// What this side allows, whatever the peer asks for.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Whose deltas are taken.
    pub trust: TrustPolicy,
    /// What is given at all.
    pub give: Option<DeltaFilter>,
    /// What is taken at all.
    pub take: Option<DeltaFilter>,
    /// Whether the peer has to prove a key.
    pub authenticate: bool,
    /// The keys that a peer may prove; any if `None`.
    pub keys: Option<BTreeSet<PublicKey>>,
    /// Deltas a second that are read of a peer.
    pub deltas_per_second: u64,
    /// Bytes a second that are read of a peer.
    pub bytes_per_second: u64,
    /// Whether what arrives in the store is sent on as it comes.
    pub auto_broadcast: bool,
    /// Whether extensions are offered: without them this side looks like one of the original.
    pub extensions: bool,
    /// Whether messages with deltas are packed, if the peer takes them.
    pub deflate: Deflate,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            trust: TrustPolicy::default(),
            give: None,
            take: None,
            authenticate: false,
            keys: None,
            deltas_per_second: DELTAS_PER_SECOND,
            bytes_per_second: BYTES_PER_SECOND,
            auto_broadcast: true,
            extensions: true,
            deflate: Deflate::default(),
        }
    }
}

/// How far two stores have come with each other, as a client writes it down (FED-32).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Positions {
    /// The peer that they are about: its id and the name of its store.
    pub remote: Option<String>,
    /// Where this side's store was when the peer had all before.
    pub ours: Option<Cursor>,
    /// What the peer said of where this side stands.
    pub theirs: Option<String>,
}

/// What a link begins with.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Its name.
    pub link_id: String,
    /// 32 bytes of chance.
    pub nonce: [u8; 32],
    /// How far a client had come.
    pub positions: Positions,
    /// Figures of connections before.
    pub stats: LinkStats,
}
