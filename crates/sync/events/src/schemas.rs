//! Where the schema of an event's data is (EVENT-5).

use allod_blocks::{Cid, Codec, sha256_cid};
use allod_feed::Told;
use allod_payloads::{Format, Framing, Schema, frame};

use crate::cloud::{CloudEvent, Data};

/// Before the CID of a schema.
const SCHEMA: &str = "allod://schema/";

/// The content type of a message of Protobuf that has its descriptor with it (EVENT-31).
const DESCRIBED: &str = "application/protobuf; self-describing=true";

/// The schemas of data as JSON: of commits, changes and moves.
pub const JSON_SCHEMAS: [&str; 3] = [
    include_str!("../schemas/commit.v1.json"),
    include_str!("../schemas/change.v1.json"),
    include_str!("../schemas/move.v1.json"),
];

/// What a schema is called in `dataschema`.
pub(crate) fn schema_uri(cid: &Cid) -> String {
    format!("{SCHEMA}{cid}")
}

/// The CID of the schema that a `dataschema` names; `None` if it is none of Allod's.
#[must_use]
pub fn schema_cid(uri: &str) -> Option<Cid> {
    uri.strip_prefix(SCHEMA)?.parse().ok()
}

/// What the schemas of JSON are called.
#[derive(Clone, Debug)]
pub(crate) struct JsonSchemas([String; 3]);

impl JsonSchemas {
    pub(crate) fn new() -> Self {
        let uri = |text: &str| schema_uri(&sha256_cid(Codec::Raw, text.as_bytes()));
        Self(JSON_SCHEMAS.map(uri))
    }

    pub(crate) const fn uri(&self, told: &Told) -> &str {
        let [commit, change, moved] = &self.0;
        match told {
            Told::Commit { .. } => commit.as_str(),
            Told::Change { .. } => change.as_str(),
            _ => moved.as_str(),
        }
    }
}

impl CloudEvent {
    /// Puts before its datum what tells readers of its schema (EVENT-23, EVENT-31, EVENT-32). Data that is JSON stays.
    pub fn frame(&mut self, schema: &Schema, framing: Framing) {
        let Some(Data::Bytes(datum)) = &mut self.data else {
            return;
        };
        *datum = frame(schema, framing, datum);
        if framing == Framing::Described && schema.format() == Format::Protobuf {
            self.datacontenttype = Some(DESCRIBED.to_owned());
        }
    }
}
