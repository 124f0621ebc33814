//! What a source is (SRC, "Settings").

use std::path::PathBuf;
use std::str::FromStr;

use allod_repo::{BranchName, SpaceId};
use serde::{Deserialize, Serialize};

use crate::definition::without_user;
use crate::source::template::Template;

/// The largest definition, in bytes: some paths and names.
const DEFINITION_BYTES_MAX: usize = 32 * 1024;

/// The longest prefix of keys, in bytes.
const PREFIX_BYTES_MAX: usize = 1024;

/// Why a text is no definition of a source, or no name of one. Blame: whoever wrote it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("this is no source: {0}")]
pub struct BadSource(String);

impl BadSource {
    /// The registered error code.
    pub const CODE: &'static str = "E_SOURCE";

    pub(crate) fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

/// What a source is.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "the page says what it has")]
pub struct SourceDefinition {
    /// Where events come from.
    pub from: From,
    /// The space that they go into, as text.
    pub space: String,
    /// The branch that they go to.
    #[serde(default = "main")]
    pub branch: String,
    /// How keys are made of events that are not Allod's own; what SRC-21 says if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Of which branch of another space entries are taken; `main` if it is absent (SRC-20).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub their_branch: Option<String>,
    /// Of which other space, as text; of any if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub their_space: Option<String>,
    /// What keys of entries of another space begin with here.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// Whether the value is the whole event rather than its data.
    #[serde(default)]
    pub whole: bool,
    /// Whether it rests.
    #[serde(default)]
    pub paused: bool,
}

fn main() -> String {
    BranchName::main().to_string()
}

/// Where events come from.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
#[non_exhaustive]
pub enum From {
    /// A stream of NATS JetStream (SRC-30).
    Nats {
        /// `nats://HOST:PORT`, or several with commas between them.
        url: String,
        /// The stream.
        stream: String,
        /// Which subjects of it; all if it is absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
        /// A file of credentials.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credentials: Option<PathBuf>,
    },
    /// A topic of Kafka (SRC-31).
    Kafka {
        /// `HOST:PORT`, or several with commas between them.
        brokers: String,
        /// The topic.
        topic: String,
        /// A file of properties for the client.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        properties: Option<PathBuf>,
    },
    /// A file of lines (SRC-32).
    File {
        /// Where it is.
        path: PathBuf,
    },
}

impl FromStr for SourceDefinition {
    type Err = BadSource;

    fn from_str(text: &str) -> Result<Self, BadSource> {
        if text.len() > DEFINITION_BYTES_MAX {
            let words = format!("it is longer than {DEFINITION_BYTES_MAX} bytes");
            return Err(BadSource(words));
        }
        let read: Self =
            serde_json::from_str(text).map_err(|error| BadSource(error.to_string()))?;
        read.check()?;
        Ok(read)
    }
}

impl SourceDefinition {
    /// Refuses what makes no sense.
    pub fn check(&self) -> Result<(), BadSource> {
        self.space_id()?;
        if self.branch_name()?.is_meta() {
            let words = "nothing is imported into the branch that says how the space is set up";
            return Err(BadSource::new(words));
        }
        self.template()?;
        if self.prefix.len() > PREFIX_BYTES_MAX {
            let words = format!("a prefix has at most {PREFIX_BYTES_MAX} bytes");
            return Err(BadSource(words));
        }
        let is_named = match &self.from {
            From::Nats { url, stream, .. } => !url.is_empty() && !stream.is_empty(),
            From::Kafka { brokers, topic, .. } => !brokers.is_empty() && !topic.is_empty(),
            From::File { path } => !path.as_os_str().is_empty(),
        };
        if is_named {
            Ok(())
        } else {
            Err(BadSource("where it is from has a name".to_owned()))
        }
    }

    /// The space.
    pub fn space_id(&self) -> Result<SpaceId, BadSource> {
        let parsed = self.space.parse::<SpaceId>();
        parsed.map_err(|_error| BadSource("its space is no space".to_owned()))
    }

    /// The branch.
    pub fn branch_name(&self) -> Result<BranchName, BadSource> {
        let parsed = self.branch.parse::<BranchName>();
        parsed.map_err(|_error| BadSource("its branch is no branch".to_owned()))
    }

    /// How keys are made, if it says so.
    pub fn template(&self) -> Result<Option<Template>, BadSource> {
        self.key.as_deref().map(str::parse).transpose()
    }
}

impl From {
    /// In short, for people.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Nats { url, stream, .. } => format!("{stream} at {}", without_user(url)),
            Self::Kafka { brokers, topic, .. } => format!("{topic} at {brokers}"),
            Self::File { path } => path.display().to_string(),
        }
    }
}
