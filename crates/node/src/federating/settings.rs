//! How a space is federated, and links to others: as they are kept (FED-50, FED-52).

use std::collections::BTreeSet;
use std::path::PathBuf;

use allod_deltas::{DeltaFilter, HyperSchema, Number, ViewSchema};
use allod_federation::{
    CONNECTIONS_MAX, Deflate, FederationConfig, InitialSync, Mode, Reconnect, Rules, Signatures,
    TrustPolicy, leads_here,
};
use allod_identity::PublicKey;
use allod_repo::BranchName;
use serde::{Deserialize, Serialize};

/// The longest address of a server, in bytes: what servers take for one.
const URL_BYTES_MAX: usize = 2048;

/// The most names in a list of a policy: each delta is looked up in it.
const NAMES_MAX: usize = 1024;

/// A setting that makes no sense. Blame: whoever wrote it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct BadSetting(pub String);

fn bad(words: impl Into<String>) -> BadSetting {
    BadSetting(words.into())
}

/// What is asked of signatures.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Signing {
    /// Deltas without one are taken.
    Optional,
    /// Deltas without one are refused, and counted apart.
    Quarantined,
    /// Deltas without one are refused.
    #[default]
    Required,
}

/// Whose deltas are taken: a list that is absent names anyone, one that is empty nobody (FED-22).
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Trust {
    /// Authors whose deltas are taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_authors: Option<BTreeSet<String>>,
    /// Systems whose deltas are taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_systems: Option<BTreeSet<String>>,
    /// Authors who are refused whatever else is said.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub denied_authors: BTreeSet<String>,
    /// Systems that are refused whatever else is said.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub denied_systems: BTreeSet<String>,
    /// What is asked of signatures.
    pub signatures: Signing,
}

impl Trust {
    /// Takes what both take.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let both = |a: &Option<BTreeSet<String>>, b: &Option<BTreeSet<String>>| match (a, b) {
            (Some(a), Some(b)) => Some(a & b),
            (one, None) | (None, one) => one.clone(),
        };
        Self {
            trusted_authors: both(&self.trusted_authors, &other.trusted_authors),
            trusted_systems: both(&self.trusted_systems, &other.trusted_systems),
            denied_authors: &self.denied_authors | &other.denied_authors,
            denied_systems: &self.denied_systems | &other.denied_systems,
            signatures: self.signatures.max(other.signatures),
        }
    }

    fn policy(&self) -> TrustPolicy {
        TrustPolicy {
            trusted_authors: self.trusted_authors.clone(),
            trusted_systems: self.trusted_systems.clone(),
            denied_authors: self.denied_authors.clone(),
            denied_systems: self.denied_systems.clone(),
            signatures: match self.signatures {
                Signing::Required => Signatures::Required,
                Signing::Quarantined => Signatures::Quarantined,
                Signing::Optional => Signatures::Optional,
            },
            judge: None,
        }
    }

    fn check(&self) -> Result<(), BadSetting> {
        let trusted = [&self.trusted_authors, &self.trusted_systems].into_iter();
        let lists = trusted
            .flatten()
            .chain([&self.denied_authors, &self.denied_systems]);
        for list in lists {
            if list.len() > NAMES_MAX {
                return Err(bad(format!(
                    "a list of a policy has at most {NAMES_MAX} names"
                )));
            }
        }
        Ok(())
    }
}

/// What of the deltas of a space becomes entries of it (DELTA-55).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct Bring {
    /// The branch that gets them.
    pub branch: BranchName,
    /// What their keys begin with, up to the last `/`.
    pub prefix: String,
    /// A hyperschema, as JSON, instead of one that selects by target context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// A view schema, as JSON, instead of the last value of each property.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
}

impl Bring {
    /// Into a branch, under a prefix.
    #[must_use]
    pub fn new(branch: BranchName, prefix: impl Into<String>) -> Self {
        Self {
            branch,
            prefix: prefix.into(),
            schema: None,
            view: None,
        }
    }

    /// What the library is to do.
    pub fn bringing(&self) -> Result<allod_deltas::Bringing, BadSetting> {
        let schema = self.schema.as_deref().map(HyperSchema::decode).transpose();
        let view = self.view.as_deref().map(ViewSchema::decode).transpose();
        let words = |error: allod_deltas::SchemaError| bad(error.to_string());
        Ok(allod_deltas::Bringing {
            branch: self.branch.clone(),
            prefix: self.prefix.clone(),
            schema: schema.map_err(words)?,
            view: view.map_err(words)?,
        })
    }
}

/// How a space is federated.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct Shared {
    /// The branch whose deltas are exchanged.
    pub branch: BranchName,
    /// Whether others may connect.
    pub served: bool,
    /// Whether whoever reaches the listener may connect, without a token.
    pub anyone: bool,
    /// A file with a token that opens this space to peers, and nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<PathBuf>,
    /// Links that others may have open.
    pub links: usize,
    /// Whose deltas are taken, on every link.
    pub trust: Trust,
    /// A filter, as JSON: what is given at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub give: Option<String>,
    /// A filter, as JSON: what is taken at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub take: Option<String>,
    /// Whether who connects has to prove a key; if keys are listed, one of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<BTreeSet<String>>,
    /// The branch whose entries a running node tells as deltas (DELTA-50).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tell: Option<BranchName>,
    /// What a running node makes of deltas (DELTA-55).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bring: Option<Bring>,
}

impl Shared {
    /// The deltas of a branch, to be exchanged with what this side connects to.
    #[must_use]
    pub fn new(branch: BranchName) -> Self {
        Self {
            branch,
            served: false,
            anyone: false,
            token: None,
            links: CONNECTIONS_MAX,
            trust: Trust::default(),
            give: None,
            take: None,
            keys: None,
            tell: None,
            bring: None,
        }
    }

    /// Refuses what makes no sense.
    pub fn check(&self) -> Result<(), BadSetting> {
        self.trust.check()?;
        if !(1..=CONNECTIONS_MAX).contains(&self.links) {
            return Err(bad(format!("1 to {CONNECTIONS_MAX} links may be open")));
        }
        let branches = [
            self.tell.as_ref(),
            self.bring.as_ref().map(|bring| &bring.branch),
        ];
        if branches.contains(&Some(&self.branch)) {
            let words = "the branch of the deltas is not told as deltas, nor brought into";
            return Err(bad(words));
        }
        if let Some(bring) = &self.bring {
            bring.bringing()?;
        }
        self.rules().map(drop)
    }

    /// What the space allows on every link.
    pub(crate) fn rules(&self) -> Result<Rules, BadSetting> {
        let keys = self.keys.as_ref().filter(|keys| !keys.is_empty());
        let keys = keys.map(|keys| keys.iter().map(|key| key_of(key)).collect());
        Ok(Rules {
            trust: self.trust.policy(),
            give: filter(self.give.as_deref())?,
            take: filter(self.take.as_deref())?,
            authenticate: self.keys.is_some(),
            keys: keys.transpose()?,
            ..Rules::default()
        })
    }
}

/// A link that a node opens and keeps open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct LinkDefinition {
    /// Where to, as `ws://host:port/federation`.
    pub url: String,
    /// The id of the space.
    pub space: String,
    /// `push`, `pull` or `bidirectional`.
    pub mode: String,
    /// `full`, `from_timestamp` or `none`.
    pub initial_sync: String,
    /// The time for `from_timestamp`, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// A filter, as JSON: what is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push: Option<String>,
    /// A filter, as JSON: what is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull: Option<String>,
    /// Whose deltas are taken on this link, of those that the space takes.
    pub trust: Trust,
    /// A file with the token that the server asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<PathBuf>,
    /// A file with certificates, in PEM, that are believed instead of those of the web.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<PathBuf>,
    /// Whether messages are packed (FED-35): `elsewhere`, which is unless the server is on this machine, `always` or
    /// `never`.
    #[serde(default = "elsewhere", skip_serializing_if = "is_elsewhere")]
    pub deflate: String,
    /// Whether the token may be shown on a connection that others can read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub token_in_clear: bool,
    /// Whether it rests.
    pub paused: bool,
}

impl LinkDefinition {
    /// A link in both directions, that brings all of the past.
    #[must_use]
    pub fn new(space: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            space: space.into(),
            mode: "bidirectional".to_owned(),
            initial_sync: "full".to_owned(),
            from: None,
            push: None,
            pull: None,
            trust: Trust::default(),
            token: None,
            authority: None,
            deflate: elsewhere(),
            token_in_clear: false,
            paused: false,
        }
    }

    /// Refuses what makes no sense.
    pub fn check(&self) -> Result<(), BadSetting> {
        self.trust.check()?;
        let is_socket = ["ws://", "wss://"].iter().any(|scheme| {
            let rest = self.url.strip_prefix(scheme);
            rest.is_some_and(|rest| !rest.is_empty())
        });
        let is_plain = self.url.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_socket || !is_plain || self.url.len() > URL_BYTES_MAX {
            let words = "a server is at an address as ws://host:port/federation or wss://";
            return Err(bad(format!("{:?}: {words}", self.url)));
        }
        if self.token.is_some() && !self.token_in_clear && !self.is_private() {
            let words =
                "a token is shown over wss://, or to this machine; who reads along would have it";
            return Err(bad(words));
        }
        self.packs()?;
        self.config().map(drop)
    }

    fn packs(&self) -> Result<Deflate, BadSetting> {
        match self.deflate.as_str() {
            "elsewhere" => Ok(Deflate::Elsewhere),
            "always" => Ok(Deflate::Always),
            "never" => Ok(Deflate::Never),
            other => Err(bad(format!("{other:?}: elsewhere, always or never"))),
        }
    }

    /// Whether nobody on the way reads what goes over it.
    fn is_private(&self) -> bool {
        self.url.starts_with("wss://") || leads_here(&self.url)
    }

    /// What is asked of the server.
    pub(crate) fn config(&self) -> Result<FederationConfig, BadSetting> {
        let mode = match self.mode.as_str() {
            "push" => Mode::Push,
            "pull" => Mode::Pull,
            "bidirectional" => Mode::Bidirectional,
            other => return Err(bad(format!("{other:?}: push, pull or bidirectional"))),
        };
        let initial_sync = match (self.initial_sync.as_str(), self.from) {
            ("full", None) => InitialSync::Full,
            ("none", None) => InitialSync::None,
            ("from_timestamp", Some(_)) => InitialSync::FromTimestamp,
            ("from_timestamp", None) => return Err(bad("from_timestamp takes a time")),
            ("full" | "none", Some(_)) => return Err(bad("a time is for from_timestamp")),
            (other, _) => return Err(bad(format!("{other:?}: full, from_timestamp or none"))),
        };
        Ok(FederationConfig {
            mode,
            initial_sync,
            sync_from_timestamp: self.from.map(Number::of),
            push_filter: filter(self.push.as_deref())?,
            pull_filter: filter(self.pull.as_deref())?,
            reconnect: Reconnect {
                // It is there until somebody says otherwise.
                max_attempts: 0,
                ..Reconnect::default()
            },
            ..FederationConfig::default()
        })
    }

    /// What is allowed on it: by the space and by the link, both (FED-22).
    pub(crate) fn rules(&self, shared: &Shared) -> Result<Rules, BadSetting> {
        Ok(Rules {
            trust: shared.trust.and(&self.trust).policy(),
            // Who connects proves a key to whoever listens; the address says who that is.
            authenticate: false,
            keys: None,
            deflate: self.packs()?,
            ..shared.rules()?
        })
    }
}

fn elsewhere() -> String {
    "elsewhere".to_owned()
}

fn is_elsewhere(word: &str) -> bool {
    word == "elsewhere"
}

fn filter(json: Option<&str>) -> Result<Option<DeltaFilter>, BadSetting> {
    let decoded = json.map(DeltaFilter::decode).transpose();
    decoded.map_err(|error| bad(error.to_string()))
}

fn key_of(text: &str) -> Result<PublicKey, BadSetting> {
    let parsed = text.parse();
    parsed.map_err(|_error| bad(format!("{text:?} is no key: did:key:z6Mk...")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(json: &str) -> Trust {
        serde_json::from_str(json).unwrap()
    }

    /// What a link says narrows what the space takes, and never widens it.
    #[test]
    fn two_policies_take_what_both_take() {
        let space = trust(
            r#"{"trustedAuthors":["a","b"],"deniedAuthors":["x"],"signatures":"quarantined"}"#,
        );
        let link =
            trust(r#"{"trustedAuthors":["b","c"],"deniedSystems":["y"],"signatures":"optional"}"#);
        let both = trust(
            r#"{"trustedAuthors":["b"],"deniedAuthors":["x"],"deniedSystems":["y"],"signatures":"quarantined"}"#,
        );
        assert_eq!(space.and(&link), both);
        assert_eq!(link.and(&space), both);
        let open = trust(r#"{"signatures":"optional"}"#);
        assert_eq!(space.and(&open), space);
        assert_eq!(open.and(&Trust::default()).signatures, Signing::Required);
        let nobody = trust(r#"{"trustedAuthors":[]}"#);
        assert_eq!(nobody.and(&link).trusted_authors, Some(BTreeSet::new()));
        assert!(serde_json::from_str::<Trust>(r#"{"trustedAuthor":["a"]}"#).is_err());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let of = |change: &dyn Fn(&mut LinkDefinition)| {
            let mut link = LinkDefinition::new("space", "ws://127.0.0.1:1/federation");
            change(&mut link);
            link.check().is_ok()
        };
        assert!(of(&|_| {}));
        assert!(of(&|link| link.url = "wss://example.org/federation".into()));
        for url in ["", "ws://", "http://x", "ws://a b", "x"] {
            assert!(!of(&|link| link.url = url.into()), "{url}");
        }
        // A token goes where nobody reads along, or where somebody says that it may.
        let with_token = |url: &str, in_clear| {
            of(&|link| {
                link.url = url.into();
                link.token = Some("file".into());
                link.token_in_clear = in_clear;
            })
        };
        for (url, is_private) in [
            ("ws://127.0.0.1:1/federation", true),
            ("ws://[::1]:1/federation", true),
            ("ws://[::ffff:127.0.0.1]:1/federation", true),
            ("ws://localhost/federation", true),
            ("wss://example.org/federation", true),
            ("ws://example.org/federation", false),
            ("ws://127.0.0.1@example.org/federation", false),
            ("ws://localhost.example.org/federation", false),
        ] {
            assert_eq!(with_token(url, false), is_private, "{url}");
            assert!(with_token(url, true), "{url}");
        }
        assert!(!of(&|link| link.mode = "both".into()));
        assert!(!of(&|link| link.initial_sync = "from_timestamp".into()));
        assert!(!of(&|link| link.from = Some(1)));
        assert!(of(&|link| link.deflate = "never".into()));
        assert!(!of(&|link| link.deflate = "sometimes".into()));
        assert!(!of(&|link| link.push = Some("[]".into())));
        let of = |change: &dyn Fn(&mut Shared)| {
            let mut shared = Shared::new("deltas".parse().unwrap());
            change(&mut shared);
            shared.check().is_ok()
        };
        assert!(of(&|_| {}));
        assert!(!of(&|shared| shared.links = 0));
        assert!(!of(&|shared| shared.links = 1001));
        assert!(!of(&|shared| shared.tell = Some(shared.branch.clone())));
        assert!(!of(&|shared| shared.keys = Some(["x".to_owned()].into())));
        assert!(!of(&|shared| shared.take = Some("1".to_owned())));
    }
}
