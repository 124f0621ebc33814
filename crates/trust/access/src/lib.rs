//! Grants, rules and roles: the one answer to who may do what.
//!
//! Spec: `specs/15-access.md` (ACCESS).
//!
//! # What this crate is
//! A [`Grant`] lets an agent do something in a space, as a delegation of UCAN, and an [`Ungrant`] takes it back. [`Rule`]s
//! say which roles may do what to which keys and branches, [`Member`]s who has which. An [`Authorizer`] is made of these
//! [`Facts`] and answers [`Request`]s with a [`Verdict`], which has its reasons. A [`Token`] is what a client bears.
//!
//! # What it is not
//! No storage, no network, no clock: facts and times are arguments. Which statements count by the keys that signed them is
//! for the caller to know (ACCESS-7).
//!
//! # The flow
//! ```text
//! bytes --Signed::decode, verify--> Grant, Ungrant --\
//! bytes --Rule::decode, Member::decode--> Rule, Member --> Facts --> Authorizer --check(Request)--> Verdict --> Decision
//! ```
//!
//! # Invariants
//! - The answer is a function of the set of facts, of the request and of its time.
//! - What a grant allows, every grant of its chain allows, and the owner issued the last of them.
//! - Nobody gets more by a change of rules apart from another one than both changes allow.
//! - Running out of steps, and what is not read here, is never allowed.
//! - A token is not shown.

mod authorizer;
mod chains;
mod door;
mod glob;
mod grant;
mod op;
mod pattern;
mod policy;
mod request;
mod rule;
mod rules;
mod steps;
mod token;
mod verdict;

pub use crate::authorizer::{Authorizer, Facts, Label};
pub use crate::door::Door;
pub use crate::glob::Glob;
pub use crate::grant::{GRANT_BYTES_MAX, Grant, Ungrant};
pub use crate::op::{BadCommand, BadOp, Command, Op, OpScope};
pub use crate::pattern::{BadPattern, Pattern};
pub use crate::policy::{Comparison, Policy, PolicyError, Selector, Statement, Value};
pub use crate::request::{Principal, Request, Target};
pub use crate::rule::{Draft, Member, On, RULE_BYTES_MAX, Roles, Rule, RuleError, roles};
pub use crate::rules::RULES_MAX;
pub use crate::steps::STEPS_MAX;
pub use crate::token::{SESSION_MS_MAX, TOKEN_BYTES_MAX, TOKEN_MS_MAX, Token, TokenError};
pub use crate::verdict::{Answer, Ground, Near, Verdict};

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct ReadmeDoctests;
