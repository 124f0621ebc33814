//! Rules and members: what a space says of itself in `meta` (ACCESS-10 to ACCESS-14).

use std::collections::BTreeMap;
use std::sync::Arc;

use allod_identity::canonical;
use allod_identity::text::is_name;
use serde::{Deserialize, Serialize, Serializer};

use crate::op::Op;
use crate::pattern::{BadPattern, Pattern};

/// The largest rule, and the largest member, in bytes.
pub const RULE_BYTES_MAX: usize = 4096;

/// Roles in a list, at most (ACCESS-13): what people can tell apart.
pub(crate) const ROLES_MAX: usize = 16;

/// The longest name of an owner: as that of a pattern.
const OWNER_BYTES_MAX: usize = 256;

/// Roles that one has by what one is (ACCESS-13).
pub mod roles {
    /// The owner of the space.
    pub const OWNER: &str = "owner";
    /// Who may change `meta`.
    pub const ADMIN: &str = "admin";
    /// A member.
    pub const MEMBER: &str = "member";
    /// Everybody.
    pub const ANYONE: &str = "anyone";
}

/// No rule or member. Blame: whoever wrote it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// Not the canonical encoding of one, or too large.
    #[error("not the encoding of a rule or member")]
    Encoding,
    /// An operation that is not one of these; a list that is not ascending, too long, or of what are no names; or an empty
    /// list of whom something is denied to.
    #[error(
        "operations of keys are read, write, delete; of branches read, write, create, merge, drop; lists of roles ascend and have at most 16"
    )]
    List,
    /// An owner that is none.
    #[error("an owner is a capture of the pattern, as {{name}}, or what somebody is called")]
    Owner,
    /// A role that nobody can be given.
    #[error("owner, admin and anyone are not given as roles")]
    Given,
    /// A handle or role that is no name.
    #[error("a name has 1 to 32 of a-z, 0-9, . and -, and begins with a letter")]
    Name,
    /// See [`BadPattern`].
    #[error(transparent)]
    Pattern(#[from] BadPattern),
}

impl RuleError {
    /// The registered error code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Pattern(_) => BadPattern::CODE,
            _ => "E_RULE",
        }
    }
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum On {
    /// Keys.
    Key,
    /// Branches.
    Branch,
}

impl On {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Branch => "branch",
        }
    }

    const fn has(self, op: Op) -> bool {
        match self {
            Self::Key => matches!(op, Op::Read | Op::Write | Op::Delete),
            Self::Branch => matches!(op, Op::Read | Op::Write | Op::Create | Op::Merge | Op::Drop),
        }
    }
}

/// Operations, each with roles.
pub type Roles = BTreeMap<Op, Vec<String>>;

/// What a pattern allows to whom: one version of a rule. One that exists keeps what ACCESS-10 to ACCESS-13 want. To clone it
/// copies nothing.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize)]
#[serde(try_from = "Draft")]
pub struct Rule(Arc<Parts>);

#[derive(Debug, Eq, PartialEq, Serialize)]
struct Parts {
    on: On,
    allow: Roles,
    deny: Roles,
    owner: Option<String>,
    pattern: Pattern,
}

/// A rule that nobody has looked at.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// What it is about.
    pub on: On,
    /// Who may what; nobody, if a list is empty.
    pub allow: Roles,
    /// Who may not.
    pub deny: Roles,
    /// Who owns what matches: a capture `{name}`, or what somebody is called.
    pub owner: Option<String>,
    /// What it is about.
    pub pattern: Pattern,
}

impl TryFrom<Draft> for Rule {
    type Error = RuleError;

    fn try_from(draft: Draft) -> Result<Self, RuleError> {
        let Draft {
            on,
            allow,
            deny,
            owner,
            pattern,
        } = draft;
        for (op, list) in allow.iter().chain(&deny) {
            if !on.has(*op) || !are_names(list) {
                return Err(RuleError::List);
            }
        }
        if deny.values().any(Vec::is_empty) {
            return Err(RuleError::List);
        }
        if let Some(owner) = &owner {
            let captured = owner.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
            let is_good = match captured {
                Some(name) => pattern.has_capture(name),
                None => !owner.is_empty() && !owner.contains(['{', '}']),
            };
            if !is_good || owner.len() > OWNER_BYTES_MAX {
                return Err(RuleError::Owner);
            }
        }
        let rule = Self(Arc::new(Parts {
            on,
            allow,
            deny,
            owner,
            pattern,
        }));
        // What has no encoding that others read is no rule.
        let encoded = canonical::encode(&rule).map_err(|_error| RuleError::Encoding)?;
        if encoded.len() > RULE_BYTES_MAX {
            return Err(RuleError::Encoding);
        }
        Ok(rule)
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Rule {
    /// The version that removes a rule: it names nothing (ACCESS-14).
    #[must_use]
    pub fn removed(on: On, pattern: Pattern) -> Self {
        Self(Arc::new(Parts {
            on,
            allow: Roles::new(),
            deny: Roles::new(),
            owner: None,
            pattern,
        }))
    }

    /// What it is about.
    #[must_use]
    pub fn on(&self) -> On {
        self.0.on
    }

    /// Which keys or branches it is about.
    #[must_use]
    pub fn pattern(&self) -> &Pattern {
        &self.0.pattern
    }

    /// Who may what.
    #[must_use]
    pub fn allow(&self) -> &Roles {
        &self.0.allow
    }

    /// Who may not.
    #[must_use]
    pub fn deny(&self) -> &Roles {
        &self.0.deny
    }

    /// Who owns what matches.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.0.owner.as_deref()
    }

    /// Whether it says anything.
    #[must_use]
    pub fn says_something(&self) -> bool {
        !self.0.allow.is_empty() || !self.0.deny.is_empty() || self.0.owner.is_some()
    }

    /// Whether it names an operation (ACCESS-13).
    pub(crate) fn names(&self, op: Op) -> bool {
        self.0.owner.is_some() || self.0.allow.contains_key(&op)
    }

    /// Its canonical DAG-CBOR.
    ///
    /// # Errors
    /// [`RuleError::Encoding`], which a rule that exists never gives.
    pub fn encode(&self) -> Result<Vec<u8>, RuleError> {
        canonical::encode(self).map_err(|_error| RuleError::Encoding)
    }

    /// Reads a rule of at most [`RULE_BYTES_MAX`] bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, RuleError> {
        canonical::decode(bytes, RULE_BYTES_MAX).map_err(|_error| RuleError::Encoding)
    }
}

/// What somebody is in a space: one version of it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "MemberDraft")]
pub struct Member {
    name: Option<String>,
    roles: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberDraft {
    name: Option<String>,
    roles: Vec<String>,
}

impl TryFrom<MemberDraft> for Member {
    type Error = RuleError;

    fn try_from(draft: MemberDraft) -> Result<Self, RuleError> {
        Self::new(draft.name, draft.roles)
    }
}

impl Member {
    /// A version with a handle and roles, which are sorted here.
    pub fn new(name: Option<String>, mut roles: Vec<String>) -> Result<Self, RuleError> {
        roles.sort();
        if name.as_deref().is_some_and(|name| !is_name(name)) {
            return Err(RuleError::Name);
        }
        if !are_names(&roles) {
            return Err(RuleError::List);
        }
        let never = [roles::OWNER, roles::ADMIN, roles::ANYONE];
        if roles.iter().any(|role| never.contains(&&**role)) {
            return Err(RuleError::Given);
        }
        Ok(Self { name, roles })
    }

    /// A member without more.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            name: None,
            roles: vec![roles::MEMBER.to_owned()],
        }
    }

    /// The version that makes somebody a member no more (ACCESS-14).
    #[must_use]
    pub const fn removed() -> Self {
        Self {
            name: None,
            roles: Vec::new(),
        }
    }

    /// What it is called by.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Its roles.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// Its canonical DAG-CBOR.
    ///
    /// # Errors
    /// [`RuleError::Encoding`], which a member that exists never gives.
    pub fn encode(&self) -> Result<Vec<u8>, RuleError> {
        canonical::encode(self).map_err(|_error| RuleError::Encoding)
    }

    /// Reads a member of at most [`RULE_BYTES_MAX`] bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, RuleError> {
        // Roles that do not ascend are sorted when read, and then are not what the bytes say.
        canonical::decode(bytes, RULE_BYTES_MAX).map_err(|_error| RuleError::Encoding)
    }
}

fn is_ascending(list: &[String]) -> bool {
    list.windows(2).all(|pair| pair[0] < pair[1])
}

/// Whether a list is of names, ascending, and not too long.
pub(crate) fn are_names(list: &[String]) -> bool {
    list.len() <= ROLES_MAX && is_ascending(list) && list.iter().all(|it| is_name(it))
}
