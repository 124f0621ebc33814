//! A CID that is its text where people read it.

use std::fmt;
use std::str::FromStr;

use cid::{Cid, Version};
use serde::de;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest text of a link, in bytes: one with a hash of 64 bytes has about 115.
const LINK_TEXT_BYTES_MAX: usize = 128;

/// A CIDv1: a link in DAG-CBOR, and in text formats its one text (CONV-4).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Link(Cid);

/// Not the text of a CIDv1 in lower-case base32.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not the text of a CIDv1")]
pub struct NoLink;

impl Link {
    /// The CID.
    #[must_use]
    pub const fn cid(&self) -> &Cid {
        &self.0
    }
}

impl From<Cid> for Link {
    fn from(cid: Cid) -> Self {
        Self(cid)
    }
}

impl From<Link> for Cid {
    fn from(link: Link) -> Self {
        link.0
    }
}

impl FromStr for Link {
    type Err = NoLink;

    fn from_str(text: &str) -> Result<Self, NoLink> {
        if text.len() > LINK_TEXT_BYTES_MAX {
            return Err(NoLink);
        }
        let cid = Cid::try_from(text).map_err(|_error| NoLink)?;
        if cid.version() == Version::V1 && cid.to_string() == text {
            Ok(Self(cid))
        } else {
            Err(NoLink)
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Link {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            text.parse().map_err(de::Error::custom)
        } else {
            Cid::deserialize(deserializer).map(Self)
        }
    }
}
