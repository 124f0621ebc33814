//! Which state a name with AS OF and ON BRANCH means (TAB-1).

use allod_repo::{BranchName, Heads, Repo};
use allod_sql::{At, TableError};
use allod_views::{Snapshot, Views, parse_timestamp};

use crate::catalog::Own;
use crate::fault::{fault, no_state, state_fault};

/// The state of names without a clause.
pub(crate) fn own(views: &Views, own: &Own) -> Result<Snapshot, TableError> {
    match own {
        Own::Working(branch) => {
            let view = views.repo().working(branch).map_err(fault)?;
            views.snapshot(view).map_err(fault)
        }
        Own::Commit(id) => views.commit(*id).map_err(fault),
        Own::Commits(heads) => {
            let view = views.repo().together(heads).map_err(fault)?;
            views.snapshot(view).map_err(fault)
        }
    }
}

/// The state that a clause names.
pub(crate) fn named(views: &Views, own: &Own, at: &At) -> Result<Snapshot, TableError> {
    let repo = views.repo();
    let branch = at
        .branch
        .as_deref()
        .map(|name| branch(repo, name))
        .transpose()?;
    let Some(as_of) = at.as_of.as_deref() else {
        return match branch {
            Some((name, _)) => views.branch(&name).map_err(fault),
            None => self::own(views, own),
        };
    };
    if let Some(micros) = moment(as_of) {
        let heads = match (branch, own) {
            (Some((_, heads)), _) => heads,
            (None, Own::Working(name)) => repo.heads(name).map_err(fault)?,
            (None, Own::Commit(id)) => Heads::from([*id]),
            (None, Own::Commits(heads)) => heads.clone(),
        };
        let id = repo
            .newest_by(&heads, micros.div_euclid(1000))
            .map_err(fault)?
            .ok_or_else(|| no_state(format!("there is no commit yet at {as_of}")))?;
        return views.commit(id).map_err(fault);
    }
    if branch.is_none()
        && let Ok((name, _)) = self::branch(repo, as_of)
    {
        return views.branch(&name).map_err(fault);
    }
    let found = repo.find(as_of).map_err(state_fault)?;
    let id = match found[..] {
        [one] => one,
        [] => {
            return Err(no_state(format!(
                "no commit, tag, branch or time {as_of:?}"
            )));
        }
        _ => {
            let count = found.len();
            return Err(no_state(format!(
                "{as_of:?} means {count} commits; give more of the id"
            )));
        }
    };
    if let Some((name, heads)) = branch {
        let is_on = heads
            .iter()
            .any(|head| repo.is_ancestor(id, *head).unwrap_or(false));
        if !is_on {
            return Err(no_state(format!("{as_of:?} is not on the branch {name}")));
        }
    }
    views.commit(id).map_err(fault)
}

fn branch(repo: &Repo, text: &str) -> Result<(BranchName, Heads), TableError> {
    let unknown = || no_state(format!("no branch {text:?} in this space"));
    let name: BranchName = text.parse().map_err(|_error| unknown())?;
    let heads = repo.heads(&name).map_err(fault)?;
    if heads.is_empty() {
        return Err(unknown());
    }
    Ok((name, heads))
}

/// A date, or a date and time of RFC 3339, in microseconds; in place of the T a space does as well (TAB-1).
pub fn moment(text: &str) -> Option<i64> {
    let text = text.replacen(' ', "T", 1);
    parse_timestamp(&text).or_else(|| parse_timestamp(&format!("{text}T00:00:00Z")))
}
