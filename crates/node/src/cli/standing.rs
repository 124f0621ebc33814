//! Whether a commit counts, and which right is missing if it does not.

use allod::{Node, Sight};
use allod_access::{Ground, Near, Op, Target};
use allod_repo::{CommitId, Denial, Heads, Repo};
use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::io::plain;

/// How a commit that is here stands (REPO-100).
pub(crate) struct Standing {
    pub(crate) counts: bool,
    pub(crate) stands: bool,
    pub(crate) denial: Option<Wanting>,
    /// Who stands for it, where it does not stand by itself and counts.
    pub(crate) voucher: Option<CommitId>,
    /// Others that it rests on and that nobody stands for, where it stands and does not count.
    pub(crate) unvouched: Heads,
}

impl Standing {
    pub(crate) fn of(node: &Node, repo: &Repo, id: CommitId) -> Result<Self> {
        let (counts, stands) = (repo.counts(id)?, repo.stands(id)?);
        let denial = repo.denial_of(id)?;
        let denial = denial.map(|denial| Wanting::new(node, repo, denial));
        let voucher = if counts && !stands {
            repo.voucher_of(id)?
        } else {
            None
        };
        let mut unvouched = Heads::new();
        if stands && !counts {
            unvouched = repo.unvouched_of(id)?.unwrap_or_default();
        }
        Ok(Self {
            counts,
            stands,
            denial: denial.transpose()?,
            voucher,
            unvouched,
        })
    }

    /// In words.
    pub(crate) fn lines(&self, is_in_quarantine: bool) -> Vec<String> {
        let mut lines = Vec::new();
        lines.push(match (self.counts, self.stands, &self.voucher) {
            (true, true, _) => "  it counts".to_owned(),
            (true, false, None) => "  it counts, as somebody who speaks has built on it".to_owned(),
            (true, false, Some(by)) => {
                format!("  it counts, as {by} is built on it, whose author stands for it")
            }
            (false, ..) if is_in_quarantine => {
                "  it does not count; `allod trust release` lets it out of quarantine".to_owned()
            }
            (false, ..) => {
                "  it does not count; `allod trust take-in` commits on top of it".to_owned()
            }
        });
        for of in &self.unvouched {
            lines.push(format!("  it rests on {of}, which nobody stands for"));
        }
        lines
    }
}

/// A right that the author of a commit has not.
pub(crate) struct Wanting {
    denial: Denial,
    /// The key, as far as whoever asks may read it.
    key: Option<String>,
}

impl Wanting {
    fn new(node: &Node, repo: &Repo, denial: Denial) -> Result<Self> {
        let key = match &denial.key {
            None => None,
            Some(key) => {
                let on = (denial.branch.as_str(), Target::Key(key));
                let seen = Sight::of(&repo.authorizer()?, &node.principal()?, on);
                seen.map(|_| String::from_utf8_lossy(key).into_owned())
            }
        };
        Ok(Self { denial, key })
    }

    /// What was asked, who, what was nearest, and what would help.
    pub(crate) fn json(&self) -> Value {
        let verdict = &self.denial.verdict;
        let near = verdict.near.as_ref().map(|near| {
            let (how, of) = match near {
                Near::Elsewhere(of) => ("elsewhere", of),
                Near::NotYet(of, _) => ("not-yet", of),
                Near::Ended(of, _) => ("ended", of),
                Near::TakenBack(of) => ("taken-back", of),
                _ => return json!({ "how": "other" }),
            };
            json!({ "how": how, "grant": of.to_string() })
        });
        json!({
            "who": self.denial.who.to_string(),
            "at": self.denial.at,
            "operation": self.denial.op.name(),
            "branch": self.denial.branch.as_str(),
            "key": self.key,
            "ground": verdict.ground.name(),
            "rule": verdict.rule.as_deref(),
            "near": near,
            "words": verdict.words(),
            "help": self.help(),
        })
    }

    pub(crate) fn lines(&self) -> [String; 2] {
        let Denial {
            op,
            branch,
            verdict,
            ..
        } = &self.denial;
        let on = match &self.key {
            Some(key) => format!("{} on {branch}", plain(key)),
            None => branch.to_string(),
        };
        [
            format!(
                "  its author may not {op} {on}: {}",
                plain(&verdict.words())
            ),
            format!("  {}", self.help()),
        ]
    }

    /// What would let its author do it.
    fn help(&self) -> String {
        let Denial {
            who, op, verdict, ..
        } = &self.denial;
        let rule = verdict.rule.as_deref().unwrap_or_default();
        match verdict.ground {
            Ground::Denied => format!(
                "whoever administers the space changes the rule {:?}, or what roles they have: `allod rules set`, `allod member set`",
                plain(rule)
            ),
            Ground::Nobody => format!(
                "whoever administers the space changes the rule {:?}, which is for nobody: `allod rules set`",
                plain(rule)
            ),
            Ground::TooManyRules => {
                "whoever administers the space removes rules: `allod rules remove`".to_owned()
            }
            Ground::Steps => "whoever gave the grants gives some with shorter policies".to_owned(),
            _ if *op == Op::Admin => format!(
                "the owner lets them administer the space: `allod grant {who} --can admin`; a grant that they pass on has to rest on one that they hold"
            ),
            _ => {
                let prefix = self
                    .key
                    .as_ref()
                    .map(|key| format!(" --prefix {}", plain(key)));
                let prefix = prefix.unwrap_or_default();
                format!("whoever may pass it on grants it: `allod grant {who} --can {op}{prefix}`")
            }
        }
    }
}
