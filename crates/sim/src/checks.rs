//! What must hold at the end of a world.

use std::collections::BTreeMap;

use allod_repo::{BranchName, Entry, RefMove, Repo, RepoError, State, log_range};
use bytes::Bytes;

use crate::error::Failure;
use crate::model::Model;
use crate::node::Node;

/// Log entries read at a time.
const PAGE: usize = 1024;

/// Checks all honest replicas, as they run and as their disks have them; counts their conflicts.
pub(crate) fn all(nodes: &[Node], model: &Model) -> Result<u64, Failure> {
    let is_lied_to = nodes.iter().any(|node| node.hostile);
    let honest: Vec<&Node> = nodes.iter().filter(|node| !node.hostile).collect();
    let mut conflicts = 0;
    let mut first: Option<(usize, Vec<Shape>)> = None;
    for node in honest {
        let reopened = node.reopened()?;
        let now = shape(&reopened).map_err(|error| node.fault("reading", &error))?;
        if let Some(running) = &node.repo {
            let running = shape(running).map_err(|error| node.fault("reading", &error))?;
            if running != now {
                return Err(Failure::Diverged {
                    left: node.name,
                    right: node.name,
                    what: "what runs is not what the disk has".to_owned(),
                });
            }
        }
        if let Some((name, shapes)) = first.as_ref().filter(|_| node.part().is_some()) {
            same_heads((*name, shapes), (node.name, &now))?;
        }
        match &first {
            _ if node.part().is_some() => {}
            None => first = Some((node.name, now.clone())),
            Some((name, shape)) if *shape != now => {
                return Err(Failure::Diverged {
                    left: *name,
                    right: node.name,
                    what: difference(shape, &now),
                });
            }
            Some(_) => {}
        }
        clean(node, &reopened)?;
        logged(node, &reopened)?;
        if node.part().is_none() {
            node.went_forward(&reopened)?;
        }
        // Also of a branch that nobody has any more.
        let mut branches = model.branches();
        // A member that lies can name a branch as it likes, and have it lead to what others wrote.
        let others = now.into_iter().filter(|_| !is_lied_to);
        branches.extend(others.map(|shape| shape.branch));
        for branch in &branches {
            if !branch.is_meta() {
                content(node, &reopened, branch, model)?;
                joined(node, &reopened, branch, model)?;
            }
            let found = reopened.conflicts(branch, usize::MAX);
            conflicts += found
                .map_err(|error| node.fault("conflicts", &error))?
                .len() as u64;
        }
    }
    Ok(conflicts)
}

/// A branch in short.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Shape {
    branch: BranchName,
    heads: allod_repo::Heads,
    root: allod_blocks::Cid,
}

fn shape(repo: &Repo) -> Result<Vec<Shape>, RepoError> {
    let branches = repo.branches()?;
    branches
        .into_iter()
        .filter(|(_, heads)| !heads.is_empty())
        .map(|(branch, heads)| {
            let root = repo.state(&branch)?.tree().root();
            Ok(Shape {
                branch,
                heads,
                root,
            })
        })
        .collect()
}

/// A node that keeps a part has the heads of one that keeps all. What they show is compared with the model.
fn same_heads(
    (left, whole): (usize, &[Shape]),
    (right, part): (usize, &[Shape]),
) -> Result<(), Failure> {
    let heads = |shapes: &[Shape]| -> BTreeMap<BranchName, allod_repo::Heads> {
        let heads = shapes.iter();
        heads
            .map(|shape| (shape.branch.clone(), shape.heads.clone()))
            .collect()
    };
    if heads(whole) == heads(part) {
        return Ok(());
    }
    let what = format!("a part: {}", difference(whole, part));
    Err(Failure::Diverged { left, right, what })
}

fn difference(left: &[Shape], right: &[Shape]) -> String {
    let differs = left.iter().zip(right).find(|(left, right)| left != right);
    match differs {
        Some((left, right)) => format!(
            "{}: {} and {} heads, roots {} and {}",
            left.branch,
            left.heads.len(),
            right.heads.len(),
            left.root,
            right.root
        ),
        None => format!("{} and {} branches", left.len(), right.len()),
    }
}

fn clean(node: &Node, repo: &Repo) -> Result<(), Failure> {
    let report = repo.check(&mut |_, _| {});
    let report = report.map_err(|error| node.fault("check", &error))?;
    match report.problems.first() {
        None => Ok(()),
        Some(problem) => Err(Failure::Damaged {
            node: node.name,
            what: problem.to_string(),
        }),
    }
}

/// The state of a branch is what the model says, key by key.
fn content(node: &Node, repo: &Repo, branch: &BranchName, model: &Model) -> Result<(), Failure> {
    let fault = |error: RepoError| node.fault("reading", &error);
    let state = repo.state(branch).map_err(fault)?;
    let mut found = BTreeMap::new();
    for item in state.tree().range(..) {
        let (key, entry): (Bytes, Bytes) = item.map_err(|error| fault(error.into()))?;
        let entry = Entry::decode(&entry).map_err(|error| Failure::Damaged {
            node: node.name,
            what: error.to_string(),
        })?;
        if !matches!(entry.state, State::Joining(..) | State::JoiningLink(..)) {
            found.insert(key, entry);
        }
    }
    let mut expected = model.branch(branch);
    expected.retain(|key, _| node.keeps(key));
    let keys = expected.keys().chain(found.keys());
    for key in keys {
        let (want, have) = (expected.get(key), found.get(key));
        if want != have {
            return Err(Failure::Lost {
                node: node.name,
                what: format!(
                    "{branch}: {}: want {want:?}, have {have:?}",
                    key.escape_ascii()
                ),
            });
        }
    }
    Ok(())
}

/// Nothing that was done to a key that joins is lost, and it shows all of that.
fn joined(node: &Node, repo: &Repo, branch: &BranchName, model: &Model) -> Result<(), Failure> {
    let fault = |error: RepoError| node.fault("reading", &error);
    let heads = repo.heads(branch).map_err(fault)?;
    if let Some((key, deed)) = model.ledger.lost(branch, &heads) {
        let what = format!("{branch}: {}: {:?}", key.escape_ascii(), deed.act);
        return Err(node.lost(what));
    }
    let state = repo.state(branch).map_err(fault)?;
    let keys = model.ledger.keys(&heads).into_iter();
    for key in keys.filter(|key| node.keeps(key)) {
        let entry = state.entry(&key).map_err(fault)?;
        let joinable = match &entry {
            Some(entry) => node.joinable(entry)?,
            None => None,
        };
        let lost = |what: String| node.lost(format!("{branch}: {}: {what}", key.escape_ascii()));
        let joinable = joinable.ok_or_else(|| lost("no state that joins".to_owned()))?;
        let (known, shown) = (model.ledger.known(&heads, &key), joinable.value());
        if let Some(wrong) = model.ledger.wrong(joinable.kind(), &known, shown.as_ref()) {
            return Err(lost(wrong));
        }
    }
    Ok(())
}

/// The log of moves leads to the heads, move by move.
fn logged(node: &Node, repo: &Repo) -> Result<(), Failure> {
    let damaged = |what: String| Failure::Damaged {
        node: node.name,
        what,
    };
    let mut last: BTreeMap<BranchName, Vec<allod_repo::CommitId>> = BTreeMap::new();
    let there = log_range(repo.store().as_ref()).map_err(|error| damaged(error.to_string()))?;
    let is_whole = there.start == 0;
    let mut from = there.start;
    loop {
        let page = repo.store().read_log(from, PAGE);
        let page = page.map_err(|error| damaged(error.to_string()))?;
        if page.is_empty() {
            break;
        }
        for entry in page {
            if entry.position != from {
                return Err(damaged(format!("the log has no entry {from}")));
            }
            from += 1;
            let step = RefMove::decode(&entry.bytes).map_err(|error| damaged(error.to_string()))?;
            // Of the first move that is left of a branch, nothing says where it was before.
            let before = last.insert(step.branch.clone(), step.to);
            let before = before.or_else(|| is_whole.then(Vec::new));
            if before.is_some_and(|before| before != step.from) {
                return Err(damaged(format!("the log of {} has a gap", step.branch)));
            }
        }
    }
    let branches = repo.branches();
    for (branch, heads) in branches.map_err(|error| node.fault("branches", &error))? {
        let logged = last.remove(&branch);
        let logged = logged.or_else(|| is_whole.then(Vec::new));
        if logged.is_some_and(|logged| !heads.iter().eq(logged.iter())) {
            return Err(damaged(format!(
                "the log of {branch} does not lead to its heads"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use allod_repo::Stamp;

    use super::*;
    use crate::scenario::Scenario;
    use crate::world::World;

    /// What was acknowledged on a branch that no node has is lost, though all nodes agree.
    #[test]
    fn a_branch_that_nobody_has_is_noticed() {
        let mut world = World::new(Scenario::of_seed(0)).unwrap();
        all(&world.nodes, &world.model).unwrap();
        let (gone, key) = ("gone".parse().unwrap(), Bytes::from_static(b"key"));
        let entry = Entry {
            stamp: Stamp::at_millis(1),
            state: State::Tombstone,
        };
        world.model.acknowledge(&gone, &key, entry);
        let lost = all(&world.nodes, &world.model).unwrap_err();
        assert!(matches!(lost, Failure::Lost { .. }), "{lost}");
    }
}
