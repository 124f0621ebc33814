//! A schema registry, as Confluent's speaks (EVENT-32, SINK-8).

use allod_payloads::{Format, Schema};
use serde::Deserialize;
use serde_json::json;
use ureq::Agent;

use super::http::{agent, read_line};
use crate::definition::Registry;
use crate::payload::Numbers;
use crate::target::Fault;

/// The content type of what is asked.
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// An answer is a number, or words.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// A schema registry.
pub(crate) struct SchemaRegistry {
    agent: Agent,
    url: String,
    token: Option<String>,
}

#[derive(Deserialize)]
struct Registered {
    id: u32,
}

impl SchemaRegistry {
    pub(crate) fn new(registry: &Registry) -> Result<Self, Fault> {
        Ok(Self {
            agent: agent(),
            url: registry.url.trim_end_matches('/').to_owned(),
            token: registry.token.as_deref().map(read_line).transpose()?,
        })
    }
}

impl Numbers for SchemaRegistry {
    fn number(&mut self, schema: &Schema) -> Result<u32, Fault> {
        // The name of a record is of ASCII letters, digits, `_` and `.`.
        let url = format!("{}/subjects/{}/versions", self.url, schema.name());
        let kind = match schema.format() {
            Format::Protobuf => "PROTOBUF",
            _ => "AVRO",
        };
        let body = json!({ "schema": schema.text(), "schemaType": kind }).to_string();
        let mut request = self.agent.post(&url).header("content-type", CONTENT_TYPE);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut answer = request.send(body).map_err(Fault::away)?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let said = body.read_to_string();
        if (200..300).contains(&status) {
            let said = said.map_err(Fault::away)?;
            let read: Registered = serde_json::from_str(&said)
                .map_err(|_error| Fault::away("the schema registry gave no number"))?;
            return Ok(read.id);
        }
        // What is no text has no words.
        let said = said.unwrap_or_default();
        let line = said.lines().next().unwrap_or_default();
        let words = format!("the schema registry answered {status} {line}");
        Err(match status {
            408 | 429 => Fault::away(words),
            400..500 => Fault::Stopped(words),
            _ => Fault::away(words),
        })
    }
}
