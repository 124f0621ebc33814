//! What heads have apart from each other.

use std::collections::BTreeSet;
use std::collections::hash_map::Entry;

use crate::error::RepoError;
use crate::history::{ByCommit, Place};
use crate::ids::CommitId;
use crate::repo::Repo;

/// A set of heads, by their places in a list: as many as two commits may name.
pub(crate) type Reaching = u128;

/// The most heads that are told apart.
const HEADS_MAX: usize = Reaching::BITS as usize;

impl Repo {
    /// The commits that not all of `heads` have, each with those that have it. `None` if there are too many heads, or
    /// if the walk is not over after `limit` commits.
    pub(crate) fn apart(
        &self,
        heads: &[CommitId],
        limit: usize,
    ) -> Result<Option<Vec<(CommitId, Reaching)>>, RepoError> {
        if heads.len() > HEADS_MAX {
            return Ok(None);
        }
        let all = (0..heads.len()).fold(0, |all, place| all | 1 << place);
        let mut walk = Walk::default();
        for (place, id) in heads.iter().enumerate() {
            walk.meet(self, *id, 1 << place, all)?;
        }
        let mut apart = Vec::new();
        while walk.open > 0 {
            let Some((_, id)) = walk.ahead.pop_last() else {
                break;
            };
            let reaching = walk.paint.get(&id).copied().unwrap_or_default();
            if reaching != all {
                walk.open -= 1;
                if apart.len() == limit {
                    return Ok(None);
                }
                apart.push((id, reaching));
            }
            for parent in &self.commit(id)?.payload().parents {
                walk.meet(self, *parent, reaching, all)?;
            }
        }
        Ok(Some(apart))
    }
}

/// A walk in which each commit comes after all that is above it, so that its paint is whole when it is taken.
#[derive(Default)]
struct Walk {
    ahead: BTreeSet<Place>,
    paint: ByCommit<Reaching>,
    /// How many of those ahead not all heads have.
    open: usize,
}

impl Walk {
    fn meet(
        &mut self,
        repo: &Repo,
        id: CommitId,
        reaching: Reaching,
        all: Reaching,
    ) -> Result<(), RepoError> {
        let paint = match self.paint.entry(id) {
            Entry::Occupied(met) => met.into_mut(),
            Entry::Vacant(new) => {
                self.ahead.insert(repo.place(id)?);
                new.insert(0)
            }
        };
        // What none reached was not ahead.
        let was_open = *paint != 0 && *paint != all;
        *paint |= reaching;
        match (was_open, *paint != all) {
            (false, true) => self.open += 1,
            (true, false) => self.open -= 1,
            _ => {}
        }
        Ok(())
    }
}
