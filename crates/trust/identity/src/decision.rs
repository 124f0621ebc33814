//! What a program decided by itself, and why (TRUST-50, TRUST-51).
//!
//! Access, trust, and every other automatic choice note the same type, so that one reader explains them all.

use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::event::TIME_MS_MAX;
use crate::key::{AgentId, DeviceId};
use crate::link::Link;
use crate::text::is_name;

/// The largest decision, in bytes: a block of a disk.
pub const DECISION_BYTES_MAX: usize = 4096;

/// The longest texts of a decision, in bytes: rule, what it is about, words, and what was chosen.
const RULE_BYTES_MAX: usize = 128;
const ON_BYTES_MAX: usize = 512;
const WORDS_BYTES_MAX: usize = 1024;
const CHOICE_BYTES_MAX: usize = 128;

/// Links of evidence at most: more than anybody looks at, and what there is room for beside the longest texts.
const EVIDENCE_MAX: usize = 32;
const EVIDENCE_BYTES_MAX: usize = 1920;

/// The name of an act that has none.
const NAMELESS: &str = "act";

/// Bytes that are no decision (TRUST-50). Blame: whoever wrote them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no decision")]
pub struct DecisionError;

impl DecisionError {
    /// The registered error code.
    #[expect(
        clippy::unused_self,
        reason = "all errors tell their code in the same way"
    )]
    #[must_use]
    pub const fn code(self) -> &'static str {
        "E_DECISION"
    }
}

/// About whom something was decided.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Who {
    /// An agent.
    Agent(AgentId),
    /// A device whose agent is not known, or does not matter.
    Device(DeviceId),
}

/// What was decided about.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct What {
    act: String,
    space: Option<Link>,
    on: String,
}

impl What {
    /// An act, as `write` or `evict`: a name (TRUST-3).
    #[must_use]
    pub fn new(act: &str) -> Self {
        Self {
            act: if is_name(act) { act } else { NAMELESS }.to_owned(),
            space: None,
            on: String::new(),
        }
    }

    /// In which space.
    #[must_use]
    pub const fn in_space(mut self, space: Link) -> Self {
        self.space = Some(space);
        self
    }

    /// On what: a key, a branch, a name.
    #[must_use]
    pub fn on(mut self, on: &str) -> Self {
        self.on = cut(on, ON_BYTES_MAX);
        self
    }

    /// The act.
    #[must_use]
    pub fn act(&self) -> &str {
        &self.act
    }

    /// The space, if it is in one.
    #[must_use]
    pub const fn space(&self) -> Option<&Link> {
        self.space.as_ref()
    }

    /// What it is done to; may be empty.
    #[must_use]
    pub fn object(&self) -> &str {
        &self.on
    }
}

/// What was decided.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DecisionOutcome {
    /// It may be done.
    Allow,
    /// It may not.
    Deny,
    /// What came is taken.
    Accept,
    /// What came is kept apart, until somebody lets it in.
    Quarantine,
    /// What came is not taken.
    Refuse,
    /// Of several things this one was chosen.
    Chose(String),
}

/// One decision. Making one never fails: what is too long is cut (TRUST-51).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Draft")]
pub struct Decision {
    at: u64,
    who: Option<Who>,
    what: What,
    outcome: DecisionOutcome,
    rule: Option<String>,
    evidence: Vec<Link>,
    words: String,
}

impl Decision {
    /// What was decided at a time, in milliseconds since 1970.
    #[must_use]
    pub fn new(at: u64, what: What, outcome: DecisionOutcome) -> Self {
        // It may have been read from somewhere.
        let what = What {
            space: what.space,
            ..What::new(&what.act).on(&what.on)
        };
        let outcome = match outcome {
            DecisionOutcome::Chose(choice) => {
                DecisionOutcome::Chose(cut(&choice, CHOICE_BYTES_MAX))
            }
            other => other,
        };
        Self {
            at: at.min(TIME_MS_MAX),
            who: None,
            what,
            outcome,
            rule: None,
            evidence: Vec::new(),
            words: String::new(),
        }
    }

    /// About whom.
    #[must_use]
    pub const fn about(mut self, who: Who) -> Self {
        self.who = Some(who);
        self
    }

    /// Which rule decided.
    #[must_use]
    pub fn by_rule(mut self, rule: &str) -> Self {
        self.rule = Some(cut(rule, RULE_BYTES_MAX));
        self
    }

    /// Why, for people.
    #[must_use]
    pub fn because(mut self, words: &str) -> Self {
        self.words = cut(words, WORDS_BYTES_MAX);
        self
    }

    /// The records that it rests on: the first 32 of them, and as many as there is room for.
    #[must_use]
    pub fn resting_on(mut self, evidence: impl IntoIterator<Item = impl Into<Link>>) -> Self {
        let mut bytes = 0;
        let evidence = evidence.into_iter().take(EVIDENCE_MAX).map(Into::into);
        let fitting = evidence.take_while(|link: &Link| {
            // Beside the name a link has a tag, a head and a zero byte.
            bytes += link.cid().encoded_len() + 5;
            bytes <= EVIDENCE_BYTES_MAX
        });
        self.evidence = fitting.collect();
        self
    }

    /// When, in milliseconds since 1970.
    #[must_use]
    pub const fn at(&self) -> u64 {
        self.at
    }

    /// About whom, if about somebody.
    #[must_use]
    pub const fn who(&self) -> Option<&Who> {
        self.who.as_ref()
    }

    /// What was decided about.
    #[must_use]
    pub const fn what(&self) -> &What {
        &self.what
    }

    /// What was decided.
    #[must_use]
    pub const fn outcome(&self) -> &DecisionOutcome {
        &self.outcome
    }

    /// Which rule decided, if one did.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        self.rule.as_deref()
    }

    /// The records that it rests on.
    #[must_use]
    pub fn evidence(&self) -> &[Link] {
        &self.evidence
    }

    /// Why, for people; may be empty.
    #[must_use]
    pub fn words(&self) -> &str {
        &self.words
    }

    /// Its canonical DAG-CBOR, at most [`DECISION_BYTES_MAX`] bytes.
    pub fn encode(&self) -> Result<Vec<u8>, DecisionError> {
        canonical::encode(self).map_err(|_error| DecisionError)
    }

    /// Reads a decision (TRUST-50).
    pub fn decode(bytes: &[u8]) -> Result<Self, DecisionError> {
        canonical::decode(bytes, DECISION_BYTES_MAX).map_err(|_error| DecisionError)
    }
}

/// A decision as it is read, which may be too large.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    at: u64,
    who: Option<Who>,
    what: What,
    outcome: DecisionOutcome,
    rule: Option<String>,
    evidence: Vec<Link>,
    words: String,
}

impl TryFrom<Draft> for Decision {
    type Error = DecisionError;

    fn try_from(draft: Draft) -> Result<Self, DecisionError> {
        let choice = match &draft.outcome {
            DecisionOutcome::Chose(choice) => choice,
            _ => "",
        };
        let texts = [
            (draft.rule.as_deref().unwrap_or_default(), RULE_BYTES_MAX),
            (&draft.what.on, ON_BYTES_MAX),
            (&draft.words, WORDS_BYTES_MAX),
            (choice, CHOICE_BYTES_MAX),
        ];
        let is_clean =
            |(text, max): &(&str, usize)| text.len() <= *max && !text.chars().any(char::is_control);
        let fits = draft.at <= TIME_MS_MAX && draft.evidence.len() <= EVIDENCE_MAX;
        if !fits || !is_name(&draft.what.act) || !texts.iter().all(is_clean) {
            return Err(DecisionError);
        }
        Ok(Self {
            at: draft.at,
            who: draft.who,
            what: draft.what,
            outcome: draft.outcome,
            rule: draft.rule,
            evidence: draft.evidence,
            words: draft.words,
        })
    }
}

/// A text of at most so many bytes, without control characters.
fn cut(text: &str, bytes_max: usize) -> String {
    let mut whole = String::new();
    for c in text.chars() {
        let c = if c.is_control() { '\u{fffd}' } else { c };
        if whole.len() + c.len_utf8() > bytes_max {
            break;
        }
        whole.push(c);
    }
    whole
}
