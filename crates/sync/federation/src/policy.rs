//! Whose deltas are taken (FED-22, FED-23).

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use allod_deltas::Delta;

use crate::config::TrustLists;

/// How the name of an author begins that is a key (IDENT-2).
const DID_KEY: &str = "did:key:";

/// What a policy asks of signatures. A signature that does not hold, and an author that is a key and did not
/// sign, are refused under each.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Signatures {
    /// Deltas without one are refused.
    #[default]
    Required,
    /// Deltas without one are set aside.
    Quarantined,
    /// Deltas without one are taken: their author and system are what anybody wrote there.
    Optional,
}

/// What is to become of a delta. The worst of several counts.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Verdict {
    /// It is taken.
    Accept,
    /// It is shown to the program, and not kept.
    Quarantine,
    /// It is refused.
    Reject,
}

/// A rule of the program's own. It is asked while the link waits, so it is to be quick: what takes longer
/// quarantines, and appends the delta later.
pub trait Judge: Send + Sync {
    /// What is to become of a delta; `verified` says whether its author signed it.
    fn judge(&self, delta: &Delta, verified: bool) -> Verdict;
}

impl<F: Fn(&Delta, bool) -> Verdict + Send + Sync> Judge for F {
    fn judge(&self, delta: &Delta, verified: bool) -> Verdict {
        self(delta, verified)
    }
}

/// Whose deltas are taken. The default takes what its author signed, from anyone.
#[derive(Clone, Default)]
pub struct TrustPolicy {
    /// Authors; anyone if `None`, nobody if empty.
    pub trusted_authors: Option<BTreeSet<String>>,
    /// Systems; any if `None`, none if empty.
    pub trusted_systems: Option<BTreeSet<String>>,
    /// Authors that are refused whatever else is said.
    pub denied_authors: BTreeSet<String>,
    /// Systems that are refused whatever else is said.
    pub denied_systems: BTreeSet<String>,
    /// What is asked of signatures.
    pub signatures: Signatures,
    /// A rule of the program's own.
    pub judge: Option<Arc<dyn Judge>>,
}

impl fmt::Debug for TrustPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustPolicy")
            .field("trusted_authors", &self.trusted_authors)
            .field("trusted_systems", &self.trusted_systems)
            .field("denied_authors", &self.denied_authors)
            .field("denied_systems", &self.denied_systems)
            .field("signatures", &self.signatures)
            .field("judge", &self.judge.is_some())
            .finish()
    }
}

impl TrustPolicy {
    /// Takes whatever is valid, signed or not: for peers that do not sign.
    #[must_use]
    pub fn open() -> Self {
        Self {
            signatures: Signatures::Optional,
            ..Self::default()
        }
    }

    /// What is to become of a delta by this policy and by the lists of a link, both (FED-22).
    #[must_use]
    pub fn judge(&self, delta: &Delta, link: &TrustLists) -> Verdict {
        let has = |list: &Option<BTreeSet<String>>, name: &str| {
            list.as_ref().is_none_or(|list| list.contains(name))
        };
        let is_listed = has(&self.trusted_authors, delta.author())
            && has(&self.trusted_systems, delta.system())
            && has(&link.authors, delta.author())
            && has(&link.systems, delta.system())
            && !self.denied_authors.contains(delta.author())
            && !self.denied_systems.contains(delta.system());
        if !is_listed {
            return Verdict::Reject;
        }
        let verified = delta.is_signed() && delta.verify().is_ok();
        let by_signature = match self.signatures {
            _ if verified => Verdict::Accept,
            _ if delta.is_signed() => return Verdict::Reject,
            // Who has a key signs: whoever lets others write without one does not let them write as that.
            _ if delta.author().starts_with(DID_KEY) => return Verdict::Reject,
            Signatures::Required => return Verdict::Reject,
            Signatures::Quarantined => Verdict::Quarantine,
            Signatures::Optional => Verdict::Accept,
        };
        let judge = self.judge.as_ref();
        let own = judge.map_or(Verdict::Accept, |judge| judge.judge(delta, verified));
        own.max(by_signature)
    }
}
