//! What all branches hold, told key by key (FEED-20, FEED-21).

use std::collections::{BTreeMap, BTreeSet};

use allod_repo::{BranchName, Entry, Heads, Repo, RepoError, SpaceId, Span};
use bytes::Bytes;

use crate::cursor::Shown;
use crate::error::FeedError;
use crate::event::{ChangedBy, Event, Order, Told};
use crate::feed::{Feed, Spaces};
use crate::filter::{Filter, Kind};
use crate::walk::Walked;

/// A walk over all that branches hold.
pub(crate) struct Snapshot {
    /// What was shown or passed over last.
    pub(crate) last: Option<Shown>,
    within: Option<Within>,
    count: u64,
}

/// A branch that is being shown.
struct Within {
    space: SpaceId,
    branch: BranchName,
    items: Items,
}

type Items = Box<dyn Iterator<Item = Result<(Bytes, Entry), RepoError>> + Send>;

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

impl Snapshot {
    /// From its beginning, or after what was shown last.
    pub(crate) const fn new(last: Option<Shown>) -> Self {
        Self {
            last,
            within: None,
            count: 0,
        }
    }

    /// The space that is being shown.
    pub(crate) fn space(&self) -> Option<SpaceId> {
        self.within.as_ref().map(|within| within.space)
    }

    /// Leaves the branch that is being shown; who comes back to it is asked anew.
    pub(crate) fn leave(&mut self) {
        self.within = None;
    }

    pub(crate) fn step(
        &mut self,
        (feed, spaces): (&Feed, &dyn Spaces),
        position: u64,
        filter: &Filter,
    ) -> Result<Walked, FeedError> {
        if !filter.wants_kind(Kind::Change) || filter.has_writers() {
            return Ok(Walked::Over);
        }
        let Some(within) = &mut self.within else {
            return self.enter(feed, spaces, filter);
        };
        let Some((key, entry)) = within.items.next().transpose()? else {
            let after = Shown {
                space: within.space,
                branch: within.branch.clone(),
                key: None,
            };
            (self.last, self.within) = (Some(after), None);
            return Ok(Walked::Passed);
        };
        self.last = Some(Shown {
            space: within.space,
            branch: within.branch.clone(),
            key: Some(key.clone()),
        });
        if !filter.wants_key(&key) {
            return Ok(Walked::Passed);
        }
        self.count += 1;
        Ok(Walked::Event(Box::new(Event {
            space: within.space,
            branch: within.branch.clone(),
            order: Order {
                position,
                commit: 0,
                change: self.count,
            },
            told: Told::Change {
                key,
                state: entry.state,
                stamp: Some(entry.stamp),
                by: ChangedBy::Snapshot,
            },
        })))
    }

    /// Goes into the branch where it stopped, or the next one.
    fn enter(
        &mut self,
        feed: &Feed,
        spaces: &dyn Spaces,
        filter: &Filter,
    ) -> Result<Walked, FeedError> {
        let ids: BTreeSet<SpaceId> = Repo::spaces(feed.store())?.into_iter().collect();
        for id in ids {
            let reached = self.last.as_ref().filter(|last| last.space == id);
            let is_before = self.last.as_ref().is_some_and(|last| id < last.space);
            if is_before || !filter.wants_space(id) {
                continue;
            }
            let Some(repo) = spaces.repo(id)? else {
                continue;
            };
            if filter.has_reach() && !filter.wants_reach(repo.reach()?) {
                continue;
            }
            let branches: BTreeMap<BranchName, Heads> = repo.branches()?.into_iter().collect();
            for (branch, heads) in branches {
                let from = match reached {
                    Some(last) if branch < last.branch => continue,
                    Some(last) if branch == last.branch => match &last.key {
                        None => continue,
                        Some(key) => Some([&key[..], &[0]].concat()),
                    },
                    _ => None,
                };
                if filter.wants_branch(id, &branch) {
                    // These heads may not be durable yet, and what they hold is not told before (FEED-2).
                    feed.store().sync()?;
                    let view = repo.together(&heads)?;
                    let items = view.range(&Span { from, to: None }, false);
                    self.within = Some(Within {
                        space: id,
                        branch,
                        items,
                    });
                    return Ok(Walked::Passed);
                }
            }
        }
        Ok(Walked::Over)
    }
}
