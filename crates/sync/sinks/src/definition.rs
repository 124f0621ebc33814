//! What a sink is (SINK, "Settings").

use std::path::PathBuf;
use std::str::FromStr;

use allod_feed::Filter;
use allod_payloads::{Format, Framing};
use serde::{Deserialize, Serialize};

/// The largest definition, in bytes: a filter, and some paths.
const DEFINITION_BYTES_MAX: usize = 32 * 1024;

/// Partitions of a topic at most (SINK, "Limits"): what is asked of each takes some memory, and a moment.
pub(crate) const PARTITIONS_MAX: u16 = 1024;

/// Why a text is no definition of a sink, or no name of one. Blame: whoever wrote it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("this is no sink: {0}")]
pub struct BadSink(pub(crate) String);

impl BadSink {
    /// The registered error code.
    pub const CODE: &'static str = "E_SINK";
}

/// What a sink is.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "the page says what it has")]
pub struct Definition {
    /// Where events go.
    pub to: To,
    /// In which form.
    #[serde(default)]
    pub mode: Mode,
    /// What their data is (SINK-8).
    #[serde(default)]
    pub data: DataAs,
    /// The schema registry that numbers schemas (EVENT-32).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<Registry>,
    /// Which of them.
    #[serde(default)]
    pub filter: Filter,
    /// Whether it rests.
    #[serde(default)]
    pub paused: bool,
}

/// Where events go.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
#[non_exhaustive]
pub enum To {
    /// A stream of NATS JetStream (SINK-10).
    Nats {
        /// `nats://HOST:PORT`, or several with commas between them.
        url: String,
        /// The stream.
        stream: String,
        /// What the subjects begin with; the name of the stream if it is absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
        /// A file of credentials.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credentials: Option<PathBuf>,
    },
    /// A topic of Kafka (SINK-40).
    Kafka {
        /// `HOST:PORT`, or several with commas between them.
        brokers: String,
        /// The topic.
        topic: String,
        /// How many partitions it is made with, where there is none; what the brokers say if it is absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        partitions: Option<u16>,
        /// A file of properties for the client, such as those of SASL.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        properties: Option<PathBuf>,
    },
    /// A server that takes POSTs (SINK-20).
    Webhook {
        /// Its address.
        url: String,
        /// A file with the secret that signs: text, with or without `whsec_`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret: Option<PathBuf>,
        /// A file with the token that is sent as `authorization: Bearer`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<PathBuf>,
    },
    /// A file of lines (SINK-30).
    File {
        /// Where it is.
        path: PathBuf,
    },
    /// Standard output (SINK-31).
    Stdout {},
}

/// In which form events go.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Mode {
    /// An event is a text of JSON.
    #[default]
    Structured,
    /// Attributes are headers, the data is the body.
    Binary,
    /// Several events are a text of JSON.
    Batch,
}

impl FromStr for Mode {
    type Err = BadSink;

    fn from_str(text: &str) -> Result<Self, BadSink> {
        match text {
            "structured" => Ok(Self::Structured),
            "binary" => Ok(Self::Binary),
            "batch" => Ok(Self::Batch),
            _ => Err(BadSink("a mode is structured, binary or batch".to_owned())),
        }
    }
}

/// What the data of events is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DataAs {
    /// JSON.
    #[default]
    Json,
    /// Avro (EVENT-23).
    Avro,
    /// Protobuf (EVENT-30).
    Protobuf,
    /// Protobuf with its descriptor (EVENT-31).
    ProtobufDescribed,
}

impl DataAs {
    /// The format of its records, and what stands before them without a registry; `None` of JSON.
    pub(crate) const fn format(self) -> Option<(Format, Framing)> {
        match self {
            Self::Json => None,
            Self::Avro => Some((Format::Avro, Framing::Single)),
            Self::Protobuf => Some((Format::Protobuf, Framing::Bare)),
            Self::ProtobufDescribed => Some((Format::Protobuf, Framing::Described)),
        }
    }
}

impl FromStr for DataAs {
    type Err = BadSink;

    fn from_str(text: &str) -> Result<Self, BadSink> {
        match text {
            "json" => Ok(Self::Json),
            "avro" => Ok(Self::Avro),
            "protobuf" => Ok(Self::Protobuf),
            "protobuf-described" => Ok(Self::ProtobufDescribed),
            _ => Err(BadSink(
                "data is json, avro, protobuf or protobuf-described".to_owned(),
            )),
        }
    }
}

/// A schema registry, as Confluent's speaks.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "the page says what it has")]
pub struct Registry {
    /// Its address.
    pub url: String,
    /// A file with the token that is sent as `authorization: Bearer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<PathBuf>,
}

impl FromStr for Definition {
    type Err = BadSink;

    fn from_str(text: &str) -> Result<Self, BadSink> {
        if text.len() > DEFINITION_BYTES_MAX {
            let words = format!("it is longer than {DEFINITION_BYTES_MAX} bytes");
            return Err(BadSink(words));
        }
        let read: Self = serde_json::from_str(text).map_err(|error| BadSink(error.to_string()))?;
        read.check()?;
        Ok(read)
    }
}

impl Definition {
    /// Refuses what makes no sense.
    pub fn check(&self) -> Result<(), BadSink> {
        self.filter
            .check()
            .map_err(|error| BadSink(error.to_string()))?;
        let fits = match (&self.to, self.mode) {
            (To::Webhook { .. }, _)
            | (_, Mode::Structured)
            | (To::Nats { .. } | To::Kafka { .. }, Mode::Binary) => true,
            (To::Nats { .. } | To::Kafka { .. } | To::File { .. } | To::Stdout {}, _) => false,
        };
        if !fits {
            let words = "batches go to webhooks, and headers to webhooks, NATS and Kafka";
            return Err(BadSink(words.to_owned()));
        }
        if let Some(registry) = &self.registry {
            if !matches!(self.data, DataAs::Avro | DataAs::Protobuf) {
                let words = "a registry numbers schemas of avro and protobuf";
                return Err(BadSink(words.to_owned()));
            }
            check_url(&registry.url)?;
        }
        match &self.to {
            To::Nats {
                stream, subject, ..
            } => {
                let is_token = |text: &str| {
                    !text.is_empty()
                        && text
                            .bytes()
                            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
                };
                let subject = subject.as_deref().unwrap_or(stream);
                if stream.len() > 64 || !is_token(stream) {
                    return Err(BadSink("a stream is 1 to 64 of a-z A-Z 0-9 _ -".to_owned()));
                }
                if subject.len() > 128 || !subject.split('.').all(is_token) {
                    return Err(BadSink(
                        "a subject is of a-z A-Z 0-9 _ -, with . between".to_owned(),
                    ));
                }
                Ok(())
            }
            To::Kafka {
                brokers,
                topic,
                partitions,
                ..
            } => check_topic(brokers, topic, *partitions),
            To::Webhook { url, .. } => check_url(url),
            To::File { .. } | To::Stdout {} => Ok(()),
        }
    }
}

fn check_url(url: &str) -> Result<(), BadSink> {
    if url.starts_with("http://") || url.starts_with("https://") {
        Ok(())
    } else {
        Err(BadSink(
            "an address begins with http:// or https://".to_owned(),
        ))
    }
}

/// What Kafka takes as a topic.
fn check_topic(brokers: &str, topic: &str, partitions: Option<u16>) -> Result<(), BadSink> {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let fits = (1..=249).contains(&topic.len())
        && topic.bytes().all(is_legal)
        && topic != "."
        && topic != "..";
    if !fits {
        let words = "a topic is 1 to 249 of a-z A-Z 0-9 . _ -";
        return Err(BadSink(words.to_owned()));
    }
    if brokers.is_empty() || partitions.is_some_and(|count| !(1..=PARTITIONS_MAX).contains(&count))
    {
        let words = format!("it has brokers, and 1 to {PARTITIONS_MAX} partitions");
        return Err(BadSink(words));
    }
    Ok(())
}

impl To {
    /// Whether what one delivers would be in the way of what the other does.
    pub(crate) fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Nats { url, stream, .. },
                Self::Nats {
                    url: other_url,
                    stream: other_stream,
                    ..
                },
            ) => (url, stream) == (other_url, other_stream),
            (
                Self::Kafka { brokers, topic, .. },
                Self::Kafka {
                    brokers: other_brokers,
                    topic: other_topic,
                    ..
                },
            ) => (brokers, topic) == (other_brokers, other_topic),
            (Self::File { path }, Self::File { path: other }) => path == other,
            _ => false,
        }
    }

    /// In short, for people.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Nats { url, stream, .. } => format!("{stream} at {}", without_user(url)),
            Self::Kafka { brokers, topic, .. } => format!("{topic} at {brokers}"),
            // What is behind may be a secret.
            Self::Webhook { url, .. } => {
                let end = url.find(['?', '#']).unwrap_or(url.len());
                url.get(..end).unwrap_or_default().to_owned()
            }
            Self::File { path } => path.display().to_string(),
            Self::Stdout {} => "standard output".to_owned(),
        }
    }
}

/// Addresses with commas between them, without the users and passwords in them: those are secrets.
pub(crate) fn without_user(urls: &str) -> String {
    let shown = urls.split(',').map(|url| {
        let (scheme, rest) = url
            .split_once("://")
            .map_or(("", url), |(scheme, rest)| (scheme, rest));
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        if scheme.is_empty() {
            host.to_owned()
        } else {
            format!("{scheme}://{host}")
        }
    });
    shown.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::without_user;

    #[test]
    fn passwords_are_not_shown() {
        for (url, shown) in [
            ("nats://a:b@h:1", "nats://h:1"),
            ("nats://h:1,nats://t@i", "nats://h:1,nats://i"),
            ("u:p@h", "h"),
            ("h:4222", "h:4222"),
        ] {
            assert_eq!(without_user(url), shown);
        }
    }
}
