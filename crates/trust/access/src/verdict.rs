//! An answer, and why (ACCESS-25).

use allod_identity::{Decision, DecisionOutcome, Link, What, Who};
use cid::Cid;

use crate::authorizer::Label;
use crate::request::{Request, Target};

/// What a request gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// It may be done.
    Allow,
    /// It may not.
    Deny,
    /// It may be done to some of the keys that were asked for together.
    Partly,
}

/// What decided (ACCESS-20).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Ground {
    /// A rule denies it to a role.
    Denied,
    /// A rule allows it to nobody.
    Nobody,
    /// Who asks owns the space.
    Owner,
    /// A rule allows it to a role, or to whom it belongs.
    Role,
    /// A chain of grants allows it.
    Grant,
    /// Members may do what no rule is about.
    Member,
    /// `meta` is read by whoever may read something.
    Known,
    /// Nothing allows it.
    Nothing,
    /// The token is not for it.
    Token,
    /// The space has more rules than are looked at.
    TooManyRules,
    /// The evaluation took too long.
    Steps,
}

impl Ground {
    /// Its name, as a decision has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Nobody => "nobody",
            Self::Owner => "owner",
            Self::Role => "rule",
            Self::Grant => "grant",
            Self::Member => "member",
            Self::Known => "known",
            Self::Nothing => "nothing",
            Self::Token => "token",
            Self::TooManyRules => "too-many-rules",
            Self::Steps => "steps",
        }
    }
}

/// A grant that would have allowed it otherwise.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Near {
    /// It is about other keys or branches.
    Elsewhere(Cid),
    /// It has not begun.
    NotYet(Cid, u64),
    /// It has ended.
    Ended(Cid, u64),
    /// Somebody took it back, or one that it rests on.
    TakenBack(Cid),
}

impl Near {
    pub(crate) const fn rank(&self) -> u8 {
        match self {
            Self::Elsewhere(_) => 0,
            Self::NotYet(..) => 1,
            Self::Ended(..) => 2,
            Self::TakenBack(_) => 3,
        }
    }

    const fn link(&self) -> &Cid {
        match self {
            Self::Elsewhere(of)
            | Self::NotYet(of, _)
            | Self::Ended(of, _)
            | Self::TakenBack(of) => of,
        }
    }
}

/// An answer, with what decided.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// The answer.
    pub answer: Answer,
    /// What decided.
    pub ground: Ground,
    /// The rule, as `key user:{id}:*`; of a denial the one that would have to allow it.
    pub rule: Option<Label>,
    /// The grants of the chain, from the one that was given last.
    pub chain: Vec<Cid>,
    /// Of a denial, what was nearest.
    pub near: Option<Near>,
}

impl Verdict {
    const fn new(answer: Answer, ground: Ground) -> Self {
        Self {
            answer,
            ground,
            rule: None,
            chain: Vec::new(),
            near: None,
        }
    }

    pub(crate) const fn allow(ground: Ground) -> Self {
        Self::new(Answer::Allow, ground)
    }

    pub(crate) const fn deny(ground: Ground) -> Self {
        Self::new(Answer::Deny, ground)
    }

    pub(crate) const fn partly(ground: Ground) -> Self {
        Self::new(Answer::Partly, ground)
    }

    pub(crate) fn by(self, rule: Label) -> Self {
        self.by_maybe(Some(rule))
    }

    pub(crate) fn by_maybe(mut self, rule: Option<Label>) -> Self {
        self.rule = rule;
        self
    }

    pub(crate) fn over(mut self, links: &[Cid]) -> Self {
        self.chain = links.to_vec();
        self
    }

    /// Whether it may be done.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.answer == Answer::Allow
    }

    /// Why, for people.
    #[must_use]
    pub fn words(&self) -> String {
        let rule = self.rule.as_deref().unwrap_or("a rule");
        let mut words = match self.ground {
            Ground::Denied => format!("the rule {rule:?} denies it"),
            Ground::Nobody => format!("the rule {rule:?} allows it to nobody"),
            Ground::Owner => "the owner of the space may".to_owned(),
            Ground::Role => match &self.rule {
                Some(rule) => format!("the rule {rule:?} allows it"),
                None => "rules allow it".to_owned(),
            },
            Ground::Grant => match self.chain.len() {
                1 => "a grant of the owner allows it".to_owned(),
                links => format!("a chain of {links} grants allows it"),
            },
            Ground::Member => "members may, and no rule is about it".to_owned(),
            Ground::Known => "who may read something may read meta".to_owned(),
            Ground::Nothing => match &self.rule {
                Some(rule) => format!("the rule {rule:?} does not allow it, and no grant does"),
                None => "no rule and no grant allows it".to_owned(),
            },
            Ground::Token => "the token is not for it".to_owned(),
            Ground::TooManyRules => "the space has more than 256 rules".to_owned(),
            Ground::Steps => "the policies of grants take too long to look at".to_owned(),
        };
        if let Some(near) = &self.near {
            let of = near.link();
            words += &match near {
                Near::Elsewhere(_) => format!("; the grant {of} is about something else"),
                Near::NotYet(_, from) => format!("; the grant {of} begins at {from}"),
                Near::Ended(_, end) => format!("; the grant {of} ended at {end}"),
                Near::TakenBack(_) => format!("; the grant {of} was taken back"),
            };
        }
        words
    }

    /// The record of the decision about an act.
    #[must_use]
    pub fn decision(&self, act: &str, request: &Request<'_>, space: Cid, now_ms: u64) -> Decision {
        let on = match request.target {
            Target::Branch => request.branch.to_owned(),
            Target::Key(key) => format!("{} {}", request.branch, String::from_utf8_lossy(key)),
            Target::Prefix(prefix) => {
                format!("{} {}*", request.branch, String::from_utf8_lossy(prefix))
            }
        };
        let what = What::new(act).in_space(Link::from(space)).on(&on);
        let outcome = match self.answer {
            Answer::Allow | Answer::Partly => DecisionOutcome::Allow,
            Answer::Deny => DecisionOutcome::Deny,
        };
        let decision = self.decision_on((what, outcome), &self.words(), now_ms);
        match request.who.agent_id() {
            Some(agent) => decision.about(Who::Agent(*agent)),
            None => decision,
        }
    }

    /// The record of what follows from it for something else, as for a commit; in these words.
    #[must_use]
    pub fn decision_on(
        &self,
        (what, outcome): (What, DecisionOutcome),
        words: &str,
        now_ms: u64,
    ) -> Decision {
        let rule = match &self.rule {
            Some(rule) => format!("{} {rule}", self.ground.name()),
            None => self.ground.name().to_owned(),
        };
        let near = self.near.iter().map(|near| *near.link());
        let evidence = self.chain.iter().copied().chain(near).map(Link::from);
        Decision::new(now_ms, what, outcome)
            .by_rule(&rule)
            .because(words)
            .resting_on(evidence.collect::<Vec<_>>())
    }
}
