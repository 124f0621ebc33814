//! Who decides a conflict: rules, merge types, a callback (MERGE-11).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;

use crate::entry::{Entry, State};
use crate::error::RepoError;
use crate::ids::{BranchName, CommitId};
use crate::json::Json;
use crate::pattern::Pattern;
use crate::repo::{Author, Repo};
use crate::view::{Content, Span};
use crate::work::Edit;

/// Before a pattern, the key in `meta` that holds the strategy for it.
pub(crate) const RULE_PREFIX: &str = "merge/";

/// The longest name of a merge type, in bytes.
const TYPE_NAME_BYTES_MAX: usize = 64;

/// How a conflict is decided without asking anybody.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Strategy {
    /// The value of the branch that is merged into.
    Ours,
    /// The value of what is merged.
    Theirs,
    /// The value of the entry that a join would keep (REPO-4).
    Newest,
    /// Field by field, for objects of JSON.
    Json,
    /// By the merge type of this name.
    Type(String),
}

/// A text is not the name of a strategy. Blame: whoever wrote it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "a strategy is ours, theirs, newest, json, or a merge type: 1 to 64 of a-z 0-9 . _ -; for a \
     whole space ours and theirs make no sense"
)]
pub struct BadStrategy;

impl FromStr for Strategy {
    type Err = BadStrategy;

    fn from_str(text: &str) -> Result<Self, BadStrategy> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
        match text {
            "ours" => Ok(Self::Ours),
            "theirs" => Ok(Self::Theirs),
            "newest" => Ok(Self::Newest),
            "json" => Ok(Self::Json),
            name if (1..=TYPE_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(plain) => {
                Ok(Self::Type(name.to_owned()))
            }
            _ => Err(BadStrategy),
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "ours",
            Self::Theirs => "theirs",
            Self::Newest => "newest",
            Self::Json => "json",
            Self::Type(name) => name,
        })
    }
}

/// Which strategy is for which keys.
pub type Rule = (Pattern, Strategy);

/// A type of values that merge by themselves, such as a counter.
pub trait MergeType: Send + Sync {
    /// The name that rules call it by.
    fn name(&self) -> &str;

    /// The merge of two values that came from `base`, or from nothing. `None` if it cannot be
    /// decided. An error says that a value is none of this type; either leaves a conflict.
    ///
    /// The result MUST depend on the arguments alone, and not on which of the two is `ours`
    /// (MERGE-13).
    fn merge(
        &self,
        base: Option<&[u8]>,
        ours: &[u8],
        theirs: &[u8],
    ) -> Result<Option<Bytes>, BadValue>;
}

/// A value is none of its merge type. Blame: whoever wrote the value.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct BadValue(pub String);

/// The merge types that a program has, by name.
#[derive(Clone, Default)]
pub struct MergeTypes {
    types: BTreeMap<String, Arc<dyn MergeType>>,
}

impl fmt::Debug for MergeTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.types.keys()).finish()
    }
}

impl MergeTypes {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a type, in the place of one with its name.
    pub fn register(&mut self, merge_type: Arc<dyn MergeType>) {
        self.types.insert(merge_type.name().to_owned(), merge_type);
    }
}

/// A key that was changed on two sides to two values.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MergeConflict {
    /// The key.
    pub key: Bytes,
    /// Its entry in the base.
    pub base: Option<Entry>,
    /// Its entry in the branch that is merged into.
    pub ours: Option<Entry>,
    /// Its entry in what is merged.
    pub theirs: Option<Entry>,
    /// Why the rule for it did not decide, if there was one.
    pub note: Option<String>,
}

/// What a conflict is decided for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Resolution {
    /// The value of the branch that is merged into.
    Ours,
    /// The value of what is merged.
    Theirs,
    /// Another value, or none.
    Edit(Edit),
}

/// Asked for conflicts that no rule decides; `None` leaves one.
pub type Callback<'a> = dyn Fn(&MergeConflict) -> Option<Resolution> + 'a;

/// What decides conflicts: the rules of a call, then those of the space, then a callback.
#[derive(Clone, Copy, Default)]
pub struct Resolving<'a> {
    /// The rules of this call, the first that fits counts; at most [`RULES_MAX`](crate::RULES_MAX).
    pub rules: &'a [Rule],
    /// The merge types at hand; `None` for none.
    pub types: Option<&'a MergeTypes>,
    /// Asked last.
    pub callback: Option<&'a Callback<'a>>,
}

impl fmt::Debug for Resolving<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolving")
            .field("rules", &self.rules)
            .field("types", &self.types)
            .finish_non_exhaustive()
    }
}

/// A decision, or why there is none.
pub(crate) type Decision = Result<Resolution, Option<String>>;

/// All that decides conflicts of one merge, in the order in which it is asked.
pub(crate) struct Judge<'a> {
    pub(crate) repo: &'a Repo,
    pub(crate) rules: Vec<Rule>,
    pub(crate) types: Option<&'a MergeTypes>,
    pub(crate) callback: Option<&'a Callback<'a>>,
}

impl Judge<'_> {
    pub(crate) fn decide(&self, conflict: &MergeConflict) -> Result<Decision, RepoError> {
        let mut note = None;
        if let Some((_, strategy)) = self.rules.iter().find(|(at, _)| at.matches(&conflict.key)) {
            match self.by_strategy(strategy, conflict)? {
                Ok(resolution) => return Ok(Ok(resolution)),
                Err(why) => note = why,
            }
        }
        let asked = self.callback.and_then(|ask| ask(conflict));
        Ok(asked.ok_or(note))
    }

    fn by_strategy(
        &self,
        strategy: &Strategy,
        conflict: &MergeConflict,
    ) -> Result<Decision, RepoError> {
        let by_type: &dyn MergeType = match strategy {
            Strategy::Ours => return Ok(Ok(Resolution::Ours)),
            Strategy::Theirs => return Ok(Ok(Resolution::Theirs)),
            Strategy::Newest => return Ok(Ok(newest(conflict))),
            Strategy::Json => &Json,
            Strategy::Type(name) => match self.types.and_then(|types| types.types.get(name)) {
                Some(merge_type) => merge_type.as_ref(),
                None => return Ok(Err(Some(format!("merge type {name} is not known here")))),
            },
        };
        let undecided = |why: &str| Ok(Err(Some(format!("{strategy}: {why}"))));
        let bytes = |entry: &Option<Entry>| self.bytes(entry.as_ref());
        let (Value::Bytes(ours), Value::Bytes(theirs)) =
            (bytes(&conflict.ours)?, bytes(&conflict.theirs)?)
        else {
            return undecided("one side has no value, or a file");
        };
        let base = match bytes(&conflict.base)? {
            Value::None => None,
            Value::Bytes(base) => Some(base),
            Value::File => return undecided("the base is a file"),
        };
        match by_type.merge(base.as_deref(), &ours, &theirs) {
            Ok(Some(merged)) if merged.len() <= crate::entry::VALUE_BLOCK_BYTES_MAX => {
                Ok(Ok(Resolution::Edit(Edit::Put(merged))))
            }
            Ok(Some(_)) => undecided("the result is longer than a value"),
            Ok(None) => undecided("it does not decide"),
            Err(error) => undecided(&error.to_string()),
        }
    }

    fn bytes(&self, entry: Option<&Entry>) -> Result<Value, RepoError> {
        Ok(match entry {
            None => Value::None,
            Some(entry) => match self.repo.content(entry)? {
                None => Value::None,
                Some(Content::Bytes(bytes)) => Value::Bytes(bytes),
                Some(Content::File(_)) => Value::File,
            },
        })
    }
}

enum Value {
    None,
    Bytes(Bytes),
    File,
}

/// The side whose entry wins by REPO-4; one without an entry loses.
fn newest(conflict: &MergeConflict) -> Resolution {
    let order = |entry: &Option<Entry>| entry.as_ref().map(|entry| (entry.stamp, entry.encode()));
    if order(&conflict.ours) >= order(&conflict.theirs) {
        Resolution::Ours
    } else {
        Resolution::Theirs
    }
}

impl Repo {
    /// The rules of the space, from the most specific pattern on: its keys `merge/<pattern>` of
    /// `meta`. One that does not parse is passed over, as are `ours` and `theirs`.
    pub fn merge_rules(&self) -> Result<Vec<Rule>, RepoError> {
        let meta = self.state(&BranchName::meta())?;
        let mut rules = Vec::new();
        for item in meta.range(&Span::prefix(RULE_PREFIX.as_bytes()), false) {
            let (key, entry) = item?;
            let State::Value(name) = &entry.state else {
                continue;
            };
            let text = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap_or_default().to_owned();
            let pattern = text(&key[RULE_PREFIX.len()..]).parse();
            if let (Ok(pattern), Ok(strategy)) = (pattern, space_strategy(&text(name))) {
                rules.push((pattern, strategy));
            }
        }
        rules.sort_by(|left: &Rule, right| left.0.cmp(&right.0));
        Ok(rules)
    }

    /// Sets the rule of the space for a pattern, or removes it: a commit on `meta`, by the owner.
    /// Fails with [`RepoError::Strategy`] for `ours` and `theirs`.
    pub fn set_merge_rule(
        &self,
        pattern: &Pattern,
        strategy: Option<&Strategy>,
        owner: Author<'_>,
        now_ms: u64,
    ) -> Result<CommitId, RepoError> {
        let key = format!("{RULE_PREFIX}{pattern}");
        let mut change = self.begin(&BranchName::meta())?;
        let message = match strategy {
            Some(strategy) => {
                let name = space_strategy(&strategy.to_string())?.to_string();
                let message = format!("Merge {pattern} by {name}");
                change.put(key, name)?;
                message
            }
            None => {
                change.delete(key)?;
                format!("Merge {pattern} by no rule")
            }
        };
        change.commit(owner, &message, now_ms)
    }
}

/// A strategy that does not depend on who merges.
pub(crate) fn space_strategy(text: &str) -> Result<Strategy, BadStrategy> {
    match text.parse()? {
        Strategy::Ours | Strategy::Theirs => Err(BadStrategy),
        other => Ok(other),
    }
}
