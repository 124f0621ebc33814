//! Policies: what is taken from whom (TRUST-40, TRUST-41). How they are evaluated is in `evaluate.rs`.

use std::fmt;

use allod_identity::text::{LINE_BYTES_MAX, is_line, is_name};
use allod_identity::{AgentId, DeviceId, Link, canonical};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::graph::DISTANCE_MAX;
use crate::record::Level;

/// The largest policy in DAG-CBOR, in bytes.
pub const POLICY_BYTES_MAX: usize = 32 * 1024;

/// Rules of a policy, its conditions, how many of these are in each other, and items of a list, at most: what people can
/// read.
const RULES_MAX: usize = 64;
const CONDITIONS_MAX: usize = 256;
const DEPTH_MAX: usize = 16;
const LIST_MAX: usize = 256;

/// What is no policy (TRUST-40, TRUST-41). Blame: whoever wrote it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Not a policy in canonical DAG-CBOR, or too large.
    #[error("not the encoding of a policy: {0}")]
    Encoding(#[from] canonical::CanonicalError),
    /// More rules or conditions than there may be, or conditions too deep in each other.
    #[error("at most 64 rules and 256 conditions, 16 in each other")]
    Large,
    /// A list that is too long.
    #[error("a list has at most 256 items")]
    List,
    /// A list that is empty below a `not`, which would make everybody of nobody.
    #[error("there is no empty list below a \"not\": not nobody would be everybody")]
    NotNobody,
    /// A category, role or predicate that is no name.
    #[error("a name has 1 to 32 of a-z, 0-9, . and -, and begins with a letter")]
    Name,
    /// A claim, or a reason, that is no line.
    #[error("a line has 1 to 256 bytes, no control characters, and no blanks around it")]
    Line,
    /// A distance that is none.
    #[error("a distance is from 1 to 8")]
    Distance,
}

impl PolicyError {
    /// The registered error code.
    #[expect(
        clippy::unused_self,
        reason = "all errors tell their code in the same way"
    )]
    #[must_use]
    pub const fn code(self) -> &'static str {
        "E_POLICY"
    }
}

/// What becomes of what arrives.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is taken.
    Accept,
    /// It is kept apart, until somebody lets it in.
    Quarantine,
    /// It is not taken.
    Refuse,
}

/// A rule of a policy.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Of whom it is.
    pub when: Condition,
    /// What becomes of what comes from there.
    pub then: Outcome,
    /// Why: a line.
    pub because: String,
}

/// Of whom something is. An empty list is of nobody (TRUST-41).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Condition {
    /// Of one of these agents.
    Author(Vec<AgentId>),
    /// Signed by one of these devices.
    Device(Vec<DeviceId>),
    /// Of whom, or from which device, somebody claims something.
    Attested {
        /// Of which category the claim is.
        category: String,
        /// Which claim it is, if that matters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claim: Option<String>,
        /// Who claims it.
        by: By,
    },
    /// Of somebody near the reader.
    Related {
        /// How near: 1 to [`DISTANCE_MAX`] steps.
        within: u8,
        /// Of which level each step is at least.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        level: Option<Level>,
    },
    /// Of a member of a circle.
    Member {
        /// The circle.
        circle: Link,
        /// With which role, if that matters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<String>,
    },
    /// What a predicate of the program says, by its name.
    Custom(String),
    /// There are some, and each holds.
    All(Vec<Condition>),
    /// One of them holds.
    Any(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
}

/// Whose claims count for a condition: a list of agents, or a condition for their author.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum By {
    /// Those of these agents.
    Agents(Vec<AgentId>),
    /// Those of agents for whom this holds.
    Who(Box<Condition>),
}

impl<'de> Deserialize<'de> for By {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ByVisitor)
    }
}

struct ByVisitor;

impl<'de> Visitor<'de> for ByVisitor {
    type Value = By;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of agents, or a condition")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<By, A::Error> {
        let mut agents = Vec::new();
        while let Some(agent) = list.next_element()? {
            agents.push(agent);
        }
        Ok(By::Agents(agents))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<By, A::Error> {
        let who = Condition::deserialize(MapAccessDeserializer::new(map))?;
        Ok(By::Who(Box::new(who)))
    }
}

/// What is taken from whom. One that exists keeps its limits (TRUST-40, TRUST-41), however it was made: it is read from
/// JSON by `serde_json`, whose depth is limited, and whoever does that limits the length.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Draft")]
pub struct Policy {
    rules: Vec<Rule>,
    otherwise: Outcome,
}

/// A policy that nobody has looked at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    rules: Vec<Rule>,
    otherwise: Outcome,
}

impl TryFrom<Draft> for Policy {
    type Error = PolicyError;

    fn try_from(draft: Draft) -> Result<Self, PolicyError> {
        Self::new(draft.rules, draft.otherwise)
    }
}

impl Policy {
    /// A policy of these rules, which are looked at in their order; `otherwise` is what becomes of the rest.
    pub fn new(rules: Vec<Rule>, otherwise: Outcome) -> Result<Self, PolicyError> {
        if rules.len() > RULES_MAX {
            return Err(PolicyError::Large);
        }
        let mut checking = Checking { conditions: 0 };
        for rule in &rules {
            check_line(&rule.because)?;
            checking.condition(&rule.when, 1, false)?;
        }
        let policy = Self { rules, otherwise };
        // What has no encoding is no policy; nor is one that nobody could read again.
        let bytes = canonical::encode(&policy).map_err(|_error| PolicyError::Large)?;
        if bytes.len() > POLICY_BYTES_MAX {
            return Err(PolicyError::Large);
        }
        Ok(policy)
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What becomes of that of which no rule is.
    #[must_use]
    pub const fn otherwise(&self) -> Outcome {
        self.otherwise
    }

    /// Its canonical DAG-CBOR.
    pub fn encode(&self) -> Result<Vec<u8>, PolicyError> {
        canonical::encode(self).map_err(|_error| PolicyError::Large)
    }

    /// Reads a policy of at most [`POLICY_BYTES_MAX`] bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, PolicyError> {
        Ok(canonical::decode(bytes, POLICY_BYTES_MAX)?)
    }
}

struct Checking {
    conditions: usize,
}

impl Checking {
    fn condition(
        &mut self,
        it: &Condition,
        depth: usize,
        is_below_not: bool,
    ) -> Result<(), PolicyError> {
        self.conditions += 1;
        if self.conditions > CONDITIONS_MAX || depth > DEPTH_MAX {
            return Err(PolicyError::Large);
        }
        match it {
            Condition::Author(agents) => check_list(agents.len(), is_below_not),
            Condition::Device(devices) => check_list(devices.len(), is_below_not),
            Condition::Attested {
                category,
                claim,
                by,
            } => {
                check_name(category)?;
                claim.as_deref().map_or(Ok(()), check_line)?;
                match by {
                    By::Agents(agents) => check_list(agents.len(), is_below_not),
                    By::Who(who) => self.condition(who, depth + 1, is_below_not),
                }
            }
            Condition::Related { within, .. } if (1..=DISTANCE_MAX).contains(within) => Ok(()),
            Condition::Related { .. } => Err(PolicyError::Distance),
            Condition::Member { role, .. } => role.as_deref().map_or(Ok(()), check_name),
            Condition::Custom(name) => check_name(name),
            Condition::All(inner) | Condition::Any(inner) => {
                check_list(inner.len(), is_below_not)?;
                inner
                    .iter()
                    .try_for_each(|inner| self.condition(inner, depth + 1, is_below_not))
            }
            Condition::Not(inner) => self.condition(inner, depth + 1, true),
        }
    }
}

const fn check_list(len: usize, is_below_not: bool) -> Result<(), PolicyError> {
    if len > LIST_MAX {
        return Err(PolicyError::List);
    }
    if len == 0 && is_below_not {
        return Err(PolicyError::NotNobody);
    }
    Ok(())
}

fn check_name(text: &str) -> Result<(), PolicyError> {
    is_name(text).then_some(()).ok_or(PolicyError::Name)
}

fn check_line(text: &str) -> Result<(), PolicyError> {
    let is_it = is_line(text, LINE_BYTES_MAX);
    is_it.then_some(()).ok_or(PolicyError::Line)
}
