//! What a policy says of something that arrived (TRUST-42 to TRUST-45). Pure: all it asks is asked of [`Facts`].

use allod_identity::{AgentId, Decision, DecisionOutcome, DeviceId, What, Who};
use cid::Cid;

use crate::policy::{By, Condition, Outcome, Policy};
use crate::record::{About, Level};

/// Steps of an evaluation at most (TRUST-44): some tens of milliseconds over a full register, but for what predicates do;
/// and more than strangers can use up who do not fill a good part of one.
pub const STEPS_MAX: u32 = 131_072;

/// Steps of the first question for a distance over each level, beside that of the condition (TRUST-44): it is then that
/// ways are looked for.
const DISTANCE_STEPS: u32 = 2048;

/// Steps of a predicate, beside that of the condition (TRUST-44): a program's own may take long.
const CUSTOM_STEPS: u32 = 32;

/// Records that a verdict names at most: as many as a decision does.
const EVIDENCE_MAX: usize = 32;

/// From whom something came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Subject {
    /// For whom it was signed.
    pub author: AgentId,
    /// By which device; or that it was none, but the agent's key.
    pub device: Signer,
}

/// Which key signed something for an agent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signer {
    /// The agent's own.
    Agent,
    /// That of a device.
    Device(DeviceId),
    /// It is not known.
    Unknown,
}

/// An answer to a question of a policy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// It is so, as these records show.
    Yes(Vec<Cid>),
    /// It is not so.
    No,
    /// It cannot be told (TRUST-42).
    Unknown,
}

/// What a policy asks. Each answer is as of the same time and the same records, and takes about as long as a look into a
/// sorted list; but for the first about a distance over a level, and for predicates.
pub trait Facts {
    /// Whether an agent claims this of a category, with a text if one is given, by a record that counts and is valid. Of
    /// several it is the one whose text has the least bytes, and of these the one whose name has.
    fn attested(&self, by: &AgentId, about: &About, category: &str, claim: Option<&str>) -> Answer;

    /// Who claims anything of this category, each once, ascending. What is claimed counts and is valid. `None` if that
    /// cannot be told.
    fn authors<'a>(&'a self, about: &About, category: &str) -> Option<Authors<'a>>;

    /// Whether an agent is at most so far from the reader, over steps of at least a level (TRUST-23).
    fn related(&self, to: &AgentId, within: u8, least: Level) -> Answer;

    /// Whether an agent is a member of a circle, with a role if one is given (TRUST-31).
    fn member(&self, agent: &AgentId, circle: &Cid, role: Option<&str>) -> Answer;

    /// What the program's predicate of this name says. One that there is not cannot be told.
    fn custom(&self, name: &str, subject: &Subject) -> Answer;
}

/// The authors of claims, as they are asked for.
pub type Authors<'a> = Box<dyn Iterator<Item = AgentId> + 'a>;

/// What decided.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Ground {
    /// The rule at this place, from 0.
    Rule(usize),
    /// No rule holds.
    Otherwise,
    /// Whether the rule at this place holds cannot be told, and would make a difference (TRUST-43).
    Unsure(usize),
    /// The steps were used up (TRUST-44).
    Exhausted,
}

/// What a policy says, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// What becomes of what arrived.
    pub outcome: Outcome,
    /// What decided.
    pub ground: Ground,
    /// The records that it rests on, at most 32.
    pub evidence: Vec<Cid>,
    /// Why, in words.
    pub words: String,
}

impl Verdict {
    /// The verdict as the record that every decision has.
    #[must_use]
    pub fn decision(&self, at: u64, author: AgentId, what: What) -> Decision {
        let outcome = match self.outcome {
            Outcome::Accept => DecisionOutcome::Accept,
            Outcome::Quarantine => DecisionOutcome::Quarantine,
            Outcome::Refuse => DecisionOutcome::Refuse,
        };
        let rule = match self.ground {
            Ground::Rule(at) | Ground::Unsure(at) => format!("trust, rule {}", at + 1),
            Ground::Otherwise => "trust, otherwise".to_owned(),
            Ground::Exhausted => "trust, steps".to_owned(),
        };
        Decision::new(at, what, outcome)
            .about(Who::Agent(author))
            .by_rule(&rule)
            .resting_on(self.evidence.iter().copied())
            .because(&self.words)
    }
}

impl Policy {
    /// What the policy says of what comes from a subject.
    #[must_use]
    pub fn evaluate(&self, subject: &Subject, facts: &dyn Facts) -> Verdict {
        let mut evaluation = Evaluation {
            facts,
            steps: STEPS_MAX,
            routed: [false; Level::ALL.len()],
            evidence: Vec::new(),
        };
        let (mut given, mut unsure) = (None, Vec::new());
        for (at, rule) in self.rules().iter().enumerate() {
            match evaluation.holds(&rule.when, subject) {
                Ok(Truth::Yes) => {
                    given = Some((rule.then, at));
                    break;
                }
                Ok(Truth::No) => {}
                Ok(Truth::Unknown) => unsure.push((rule.then, at)),
                Err(Exhausted) => {
                    return Verdict {
                        outcome: Outcome::Quarantine,
                        ground: Ground::Exhausted,
                        evidence: Vec::new(),
                        words: format!("it takes more than {STEPS_MAX} steps to tell"),
                    };
                }
            }
        }
        let outcome = given.map_or(self.otherwise(), |(outcome, _)| outcome);
        // It is sure only if what cannot be told would give the same.
        if let Some((_, at)) = unsure.into_iter().find(|(other, _)| *other != outcome) {
            return Verdict {
                outcome: Outcome::Quarantine,
                ground: Ground::Unsure(at),
                evidence: Vec::new(),
                words: format!("whether rule {} holds cannot be told", at + 1),
            };
        }
        let (ground, words) = match given {
            Some((_, at)) => (Ground::Rule(at), self.rules()[at].because.clone()),
            None => (Ground::Otherwise, "no rule is about it".to_owned()),
        };
        let mut evidence = evaluation.evidence;
        evidence.truncate(EVIDENCE_MAX);
        Verdict {
            outcome,
            ground,
            evidence,
            words,
        }
    }
}

/// Whether a condition holds.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Truth {
    Yes,
    No,
    Unknown,
}

impl From<bool> for Truth {
    fn from(is_it: bool) -> Self {
        if is_it { Self::Yes } else { Self::No }
    }
}

/// There are no steps left.
struct Exhausted;

struct Evaluation<'a> {
    facts: &'a dyn Facts,
    steps: u32,
    /// The levels over which a distance was asked for.
    routed: [bool; Level::ALL.len()],
    /// Of all conditions that hold on the way to here.
    evidence: Vec<Cid>,
}

impl Evaluation<'_> {
    fn step(&mut self, count: u32) -> Result<(), Exhausted> {
        self.steps = self.steps.checked_sub(count).ok_or(Exhausted)?;
        Ok(())
    }

    /// Whether a condition holds; adds to the evidence if so, and if not leaves it as it is.
    fn holds(&mut self, it: &Condition, subject: &Subject) -> Result<Truth, Exhausted> {
        self.step(1)?;
        let shown = self.evidence.len();
        let truth = self.look(it, subject)?;
        if truth != Truth::Yes {
            self.evidence.truncate(shown);
        }
        Ok(truth)
    }

    fn look(&mut self, it: &Condition, subject: &Subject) -> Result<Truth, Exhausted> {
        let author = &subject.author;
        Ok(match it {
            Condition::Author(agents) => agents.contains(author).into(),
            Condition::Device(devices) => match &subject.device {
                Signer::Device(device) => devices.contains(device).into(),
                Signer::Agent => Truth::No,
                Signer::Unknown => Truth::Unknown,
            },
            Condition::Attested {
                category,
                claim,
                by,
            } => return self.attested(subject, (category, claim.as_deref()), by),
            Condition::Related { within, level } => {
                let level = level.unwrap_or(Level::Network);
                if !self.routed[level as usize] {
                    self.routed[level as usize] = true;
                    self.step(DISTANCE_STEPS)?;
                }
                self.told(self.facts.related(author, *within, level))
            }
            Condition::Member { circle, role } => {
                self.told(self.facts.member(author, circle.cid(), role.as_deref()))
            }
            Condition::Custom(name) => {
                self.step(CUSTOM_STEPS)?;
                self.told(self.facts.custom(name, subject))
            }
            Condition::All(inner) if inner.is_empty() => Truth::No,
            Condition::All(inner) => return self.every(inner, subject, Truth::No),
            Condition::Any(inner) => return self.every(inner, subject, Truth::Yes),
            Condition::Not(inner) => {
                let shown = self.evidence.len();
                let truth = self.holds(inner, subject)?;
                self.evidence.truncate(shown);
                match truth {
                    Truth::Yes => Truth::No,
                    Truth::No => Truth::Yes,
                    Truth::Unknown => Truth::Unknown,
                }
            }
        })
    }

    /// `all`, which one that does not hold decides, or `any`, which one that holds decides.
    fn every(
        &mut self,
        inner: &[Condition],
        subject: &Subject,
        decides: Truth,
    ) -> Result<Truth, Exhausted> {
        let mut truth = Truth::from(decides == Truth::No);
        for inner in inner {
            match self.holds(inner, subject)? {
                it if it == decides => return Ok(it),
                Truth::Unknown => truth = Truth::Unknown,
                _ => {}
            }
        }
        Ok(truth)
    }

    /// Claims about the author, and then about the device. Those of agents who are named are looked for one by one, so
    /// that whatever others claim takes no step.
    fn attested(
        &mut self,
        subject: &Subject,
        (category, claim): (&str, Option<&str>),
        by: &By,
    ) -> Result<Truth, Exhausted> {
        let device = match subject.device {
            Signer::Device(device) => Some(About::Device(device)),
            Signer::Agent | Signer::Unknown => None,
        };
        let abouts = [Some(About::Agent(subject.author)), device];
        let facts = self.facts;
        let mut truth = Truth::No;
        for about in abouts.iter().flatten() {
            let authors = match by {
                By::Agents(agents) => Some(Box::new(agents.iter().copied()) as Authors<'_>),
                By::Who(_) => facts.authors(about, category),
            };
            let Some(authors) = authors else {
                truth = Truth::Unknown;
                continue;
            };
            for author in authors {
                self.step(1)?;
                match self.claimed(&author, (about, category, claim), by)? {
                    Truth::Yes => return Ok(Truth::Yes),
                    Truth::Unknown => truth = Truth::Unknown,
                    Truth::No => {}
                }
            }
        }
        Ok(truth)
    }

    /// Whether an author claims something, and is one of those whose claims are asked for.
    fn claimed(
        &mut self,
        author: &AgentId,
        (about, category, claim): (&About, &str, Option<&str>),
        by: &By,
    ) -> Result<Truth, Exhausted> {
        let shown = self.evidence.len();
        let claimed = self.told(self.facts.attested(author, about, category, claim));
        let By::Who(who) = by else {
            return Ok(claimed);
        };
        if claimed == Truth::No {
            return Ok(Truth::No);
        }
        let (author, device) = (*author, Signer::Unknown);
        let truth = match self.holds(who, &Subject { author, device })? {
            Truth::Yes => claimed,
            other => other,
        };
        if truth != Truth::Yes {
            self.evidence.truncate(shown);
        }
        Ok(truth)
    }

    fn told(&mut self, answer: Answer) -> Truth {
        match answer {
            Answer::Yes(evidence) => {
                self.evidence
                    .extend(evidence.into_iter().take(EVIDENCE_MAX));
                Truth::Yes
            }
            Answer::No => Truth::No,
            Answer::Unknown => Truth::Unknown,
        }
    }
}
