//! Who asks for what.

use std::collections::BTreeSet;

use allod_identity::AgentId;
use cid::Cid;

use crate::op::{Command, Op};
use crate::token::Token;

/// Somebody who asks: an agent, or the bearer of a token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Principal {
    agent: Option<AgentId>,
    user: Option<String>,
    roles: BTreeSet<String>,
    limits: Option<Limits>,
}

/// What a token may be used for.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Limits {
    can: Vec<Command>,
    space: Option<Cid>,
}

impl Principal {
    /// An agent.
    #[must_use]
    pub const fn agent(agent: AgentId) -> Self {
        Self {
            agent: Some(agent),
            user: None,
            roles: BTreeSet::new(),
            limits: None,
        }
    }

    /// Nobody who is known.
    #[must_use]
    pub const fn stranger() -> Self {
        Self {
            agent: None,
            user: None,
            roles: BTreeSet::new(),
            limits: None,
        }
    }

    /// Who bears a token that was looked at ([`Token::check_text`]).
    #[must_use]
    pub fn bearer(token: &Token) -> Self {
        let agent = token.user.parse().ok();
        Self {
            user: agent.is_none().then(|| token.user.clone()),
            agent,
            roles: token.roles.iter().cloned().collect(),
            limits: Some(Limits {
                can: token.can.clone(),
                space: token.space,
            }),
        }
    }

    /// The agent, if it is one.
    #[must_use]
    pub const fn agent_id(&self) -> Option<&AgentId> {
        self.agent.as_ref()
    }

    /// What it is called by, if it is no agent.
    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Whether a token gives a role.
    pub(crate) fn bears(&self, role: &str) -> bool {
        self.roles.contains(role)
    }

    /// Whether nothing but what it may be used for forbids an operation (ACCESS-32).
    pub(crate) fn is_for(&self, op: Op, space: &Cid) -> bool {
        self.limits.as_ref().is_none_or(|limits| {
            limits.space.is_none_or(|it| it == *space)
                && limits.can.iter().any(|it| it.covers(op.command()))
        })
    }

    /// As people read it.
    #[must_use]
    pub fn words(&self) -> String {
        match (&self.agent, &self.user) {
            (Some(agent), _) => agent.to_string(),
            (None, Some(user)) => format!("the user {user}"),
            (None, None) => "a stranger".to_owned(),
        }
    }
}

/// What is asked for: an operation, on a branch, on keys if it is one of keys, at a time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Request<'a> {
    /// Who asks.
    pub who: &'a Principal,
    /// What for.
    pub op: Op,
    /// On which branch. Operations on the space do not look at it.
    pub branch: &'a str,
    /// On which keys.
    pub target: Target<'a>,
    /// When, in milliseconds since 1970: now, or the stamp of a commit.
    pub at: u64,
}

/// Which keys are asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Target<'a> {
    /// The branch as such: whether there may be something.
    Branch,
    /// One key.
    Key(&'a [u8]),
    /// All keys that begin so; the empty prefix is all.
    Prefix(&'a [u8]),
}
