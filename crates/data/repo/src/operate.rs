//! Changing values that join, and who writes them (REPO-40 to REPO-44).

use std::sync::Arc;

use allod_blocks::{Batch, Block, Cid, Expect, REF_VALUE_BYTES_MAX};
use allod_crdt::{
    Authorship, Document, DocumentError, Epoch, Kind, Op, OpError, State as Joinable, Writer,
};
use allod_identity::{DeviceId, canonical};
use allod_tree::Tree;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::entry::{Entry, State, StateRef};
use crate::error::RepoError;
use crate::ids::{BranchName, CommitId};
use crate::joining::{Joining, join_entries, joinable_of, state_of_joinable};
use crate::kinds::KindRules;
use crate::layout;
use crate::repo::{Heads, Repo};
use crate::stamp::Stamp;
use crate::view::{View, check_key, decode};
use crate::work::Staged;
use crate::write::{Entries, TRIES};

/// What a writer's name is made of, besides who and where.
const WRITER: &[u8] = b"allod writer 1\0";

/// The writer of a branch on this device, and the digests of the heads that its line led to. They are no
/// names, so that they keep no commit.
#[derive(Serialize, Deserialize)]
struct Line {
    writer: Writer,
    heads: Vec<serde_bytes::ByteBuf>,
}

impl Repo {
    /// The same space for a device: the one that values which join are changed by (REPO-41), and by whose key commits
    /// name some of many heads.
    #[must_use]
    pub const fn on_device(mut self, device: DeviceId) -> Self {
        self.device = Some(device);
        self
    }

    /// Does operations to a value that joins, one after the other, and stages the result; all of them or
    /// none. Returns the state that is staged. A key without a value gets one of this kind.
    ///
    /// # Errors
    /// [`RepoError::OtherKind`] if the key has a value of another kind, or is to have one (REPO-42);
    /// [`RepoError::Operation`]; [`RepoError::NoDevice`].
    pub fn operate(
        &self,
        branch: &BranchName,
        key: &[u8],
        (kind, ops): (Kind, &[Op]),
        now_ms: u64,
    ) -> Result<Joinable, RepoError> {
        self.change(branch, key, kind, now_ms, &mut |state, writer, stamp| {
            state.apply_all(ops, writer, stamp.bits())?;
            Ok(())
        })
    }

    /// Edits a document as `edit` does, and stages the result, as [`operate`](Self::operate) does. `message`
    /// is what its history says of the change.
    pub fn edit_document(
        &self,
        branch: &BranchName,
        key: &[u8],
        message: Option<&str>,
        now_ms: u64,
        edit: &mut dyn FnMut(&mut Document, Authorship<'_>) -> Result<(), DocumentError>,
    ) -> Result<Joinable, RepoError> {
        let kind = Kind::Document;
        self.change(branch, key, kind, now_ms, &mut |state, writer, stamp| {
            let mut document = Document::open(state)?;
            let by = Authorship {
                message,
                ..authorship(writer, stamp)
            };
            edit(&mut document, by)?;
            state.clone_from(document.state());
            Ok(())
        })
    }

    /// Lets the history of a value that joins go: it begins a new epoch with what it shows (CRDT-20). What
    /// others do meanwhile is put aside when it comes, and recorded (REPO-9).
    pub fn compact(
        &self,
        branch: &BranchName,
        key: &[u8],
        kind: Kind,
        now_ms: u64,
    ) -> Result<Joinable, RepoError> {
        self.change(branch, key, kind, now_ms, &mut |state, writer, stamp| {
            let stamp = stamp.bits();
            *state = state.compact(Epoch { stamp, writer })?;
            Ok(())
        })
    }

    /// Changes a value that joins as `change` says, and stages it.
    fn change(
        &self,
        branch: &BranchName,
        key: &[u8],
        kind: Kind,
        now_ms: u64,
        change: &mut dyn FnMut(&mut Joinable, Writer, Stamp) -> Result<(), RepoError>,
    ) -> Result<Joinable, RepoError> {
        check_key(key)?;
        self.check_part(branch, key)?;
        let _hold = self.store().uses().hold();
        for _ in 0..TRIES {
            let (raw, heads) = self.read_heads(branch)?;
            let staged = self.staged(branch)?;
            let working = self.working(branch)?;
            let mut batch = Batch::new();
            let writer = self.writer(branch, &heads, now_ms, &mut batch)?;
            let there = working.entry(key)?;
            let there = there.as_ref().map(|entry| StateRef::from(&entry.state));
            let stamp = self.tick(now_ms);
            let there = self.joinable_there(key, there)?;
            let before = there.clone().unwrap_or_else(|| Joinable::empty(kind));
            let mut joinable = match there {
                None => {
                    self.check_kind(key, kind)?;
                    Joinable::empty(kind)
                }
                Some(joinable) if joinable.kind() == kind => joinable,
                // What has no value may become another kind, in a later epoch.
                Some(joinable) if joinable.value().is_none() => {
                    self.check_kind(key, kind)?;
                    let stamp = stamp.bits();
                    Joinable::empty(kind).cleared(Epoch { stamp, writer })?
                }
                Some(joinable) => {
                    return Err(RepoError::OtherKind {
                        key: key.to_vec(),
                        has: joinable.kind(),
                        asked: kind,
                    });
                }
            };
            change(&mut joinable, writer, stamp)?;
            // To remove what is not there changes nothing, and is no edit.
            if joinable == before {
                return Ok(joinable);
            }
            let (state, block) = state_of_joinable(&joinable)?;
            if let Some(block) = block {
                batch.put(block);
            }
            let entry = Entry { stamp, state }.encode();
            let key = Bytes::copy_from_slice(key);
            let entries = Entries::from([(key.clone(), entry)]);
            let head = layout::head(self.id(), branch);
            batch.set_ref(head, Expect::read(raw.clone()), raw);
            if self.stage_over(branch, &staged, [&key].into_iter(), &entries, batch)? {
                return Ok(joinable);
            }
        }
        Err(RepoError::Contended(branch.clone()))
    }

    /// The state that joins which a key has; none if it has no value.
    ///
    /// # Errors
    /// [`RepoError::PlainValue`] if it has one that does not join.
    fn joinable_there(
        &self,
        key: &[u8],
        there: Option<StateRef<'_>>,
    ) -> Result<Option<Joinable>, RepoError> {
        match there {
            None | Some(StateRef::Tombstone) => Ok(None),
            Some(StateRef::Value(_) | StateRef::Link(_)) => {
                Err(RepoError::PlainValue { key: key.to_vec() })
            }
            Some(joining) => joinable_of(joining, &|cid| self.raw(cid)),
        }
    }

    /// What is staged, joined with what a tree has of it where that joins (REPO-44).
    pub(crate) fn joined_staged(
        &self,
        tree: &Tree,
        staged: Arc<Staged>,
    ) -> Result<Arc<Staged>, RepoError> {
        let mut changed = Vec::new();
        let mut batch = Batch::new();
        for (key, entry) in staged.joining() {
            let Some(there) = tree.get(key)? else {
                continue;
            };
            match join_entries(&there, &entry.encode(), &|cid| self.raw(cid))? {
                Joining::Right => {}
                Joining::Left => changed.push((key.clone(), decode(&there)?)),
                Joining::Made(made, block) => {
                    if let Some(block) = block {
                        batch.put(block);
                    }
                    changed.push((key.clone(), decode(&made)?));
                }
            }
        }
        if changed.is_empty() {
            return Ok(staged);
        }
        if !batch.is_empty() {
            let _outcome = self.store().commit(batch)?;
        }
        let mut all = Staged::clone(&staged);
        for (key, entry) in changed {
            all.insert(key, entry);
        }
        Ok(Arc::new(all))
    }

    /// What stands where something is written; `view` is asked for if that matters.
    pub(crate) fn over(
        &self,
        view: impl FnOnce() -> Result<View, RepoError>,
    ) -> Result<Over, RepoError> {
        let kinds = self.kind_rules()?;
        let view = (!kinds.is_empty()).then(view).transpose()?;
        Ok(Over { view, kinds })
    }

    /// What applying the difference of two states to a third does there (REPO-43); none if nothing.
    pub(crate) fn carried_over(
        &self,
        key: &[u8],
        (base, theirs, ours): (StateRef<'_>, StateRef<'_>, StateRef<'_>),
        now_ms: u64,
    ) -> Result<Option<(State, Option<Block>)>, RepoError> {
        let load = &|cid: &Cid| self.raw(cid);
        let (base, theirs) = (joinable_of(base, load)?, joinable_of(theirs, load)?);
        let stamp = self.tick(now_ms);
        let kind = [&theirs, &base]
            .into_iter()
            .flatten()
            .map(Joinable::kind)
            .next();
        let Some(kind) = kind else { return Ok(None) };
        let empty = || Joinable::empty(kind);
        let mut here = self.joinable_there(key, Some(ours))?.unwrap_or_else(empty);
        let (base, theirs) = (base.unwrap_or_else(empty), theirs.unwrap_or_else(empty));
        // A value of another kind is nobody's to change by these operations.
        if [&base, &theirs, &here]
            .iter()
            .any(|state| state.kind() != kind)
        {
            return Ok(None);
        }
        let writer = self.new_writer(stamp)?;
        let before = here.clone();
        if theirs.value().is_none() {
            if base.value().is_none() || here.value().is_none() {
                return Ok(None);
            }
            let stamp = stamp.bits();
            here = here.cleared(Epoch { stamp, writer })?;
        } else if kind == Kind::Document {
            carry_document(&mut here, (&base, &theirs), writer, stamp)?;
        } else {
            let carried = |source| RepoError::Carried {
                key: key.to_vec(),
                source,
            };
            for op in here.rebase(&base, &theirs).map_err(carried)? {
                match here.apply(&op, writer, stamp.bits()) {
                    // It cannot come back, whoever wants it.
                    Ok(_) | Err(OpError::RemovedForEver) => {}
                    Err(error) => return Err(carried(error)),
                }
            }
        }
        if here == before {
            return Ok(None);
        }
        state_of_joinable(&here).map(Some)
    }

    /// The writer of a branch: the one that it had while the branch went on from where that led to, else a
    /// new one (REPO-41).
    fn writer(
        &self,
        branch: &BranchName,
        heads: &Heads,
        now_ms: u64,
        batch: &mut Batch,
    ) -> Result<Writer, RepoError> {
        let name = layout::writer(self.id(), branch);
        let raw = self.store().get_ref(&name)?;
        let line = raw
            .as_ref()
            .and_then(|raw| canonical::decode::<Line>(raw, REF_VALUE_BYTES_MAX).ok());
        if let Some(line) = line
            && self.goes_on(heads, &line.heads)?
        {
            return Ok(line.writer);
        }
        let writer = self.new_writer(self.tick(now_ms))?;
        batch.set_ref(name, Expect::read(raw), Some(encode_line(writer, heads)?));
        Ok(writer)
    }

    /// Whether all of the heads that a line led to are among the ancestors of these.
    fn goes_on(&self, heads: &Heads, line: &[serde_bytes::ByteBuf]) -> Result<bool, RepoError> {
        let mut led = Heads::new();
        for digest in line {
            let Some(id) = layout::commit_of_digest(digest) else {
                return Ok(false);
            };
            // Undone and collected meanwhile.
            if !self.has_commit(id)? {
                return Ok(false);
            }
            led.insert(id);
        }
        Ok(led == *heads || self.has_all(heads, &led)?)
    }

    /// Adds to `batch` that the line of the writer of a branch led from some heads to others; if it did not
    /// lead to the former, it is over, and nobody writes by its name again (REPO-41).
    pub(crate) fn note_line(
        &self,
        branch: &BranchName,
        (before, next): (&Heads, &Heads),
        batch: &mut Batch,
    ) -> Result<(), RepoError> {
        let name = layout::writer(self.id(), branch);
        let raw = self.store().get_ref(&name)?;
        let line = raw
            .as_ref()
            .and_then(|raw| canonical::decode::<Line>(raw, REF_VALUE_BYTES_MAX).ok());
        if let Some(line) = line {
            let goes_on = self.goes_on(before, &line.heads)?;
            let line = goes_on.then(|| encode_line(line.writer, next));
            batch.set_ref(name, Expect::read(raw), line.transpose()?);
        }
        Ok(())
    }

    /// A writer that nobody has used: no device makes a stamp twice.
    fn new_writer(&self, stamp: Stamp) -> Result<Writer, RepoError> {
        let device = self.device.as_ref().ok_or(RepoError::NoDevice)?;
        let digest = Sha256::new()
            .chain_update(WRITER)
            .chain_update(device.key().as_bytes())
            .chain_update(self.id().cid().to_bytes())
            .chain_update(stamp.bits().to_be_bytes())
            .finalize();
        let first = digest.first_chunk().copied().unwrap_or_default();
        Ok(Writer(first))
    }
}

/// Makes the edits that lead from one document to another in a third.
fn carry_document(
    here: &mut Joinable,
    (base, theirs): (&Joinable, &Joinable),
    writer: Writer,
    stamp: Stamp,
) -> Result<(), RepoError> {
    let (base, theirs) = (Document::open(base)?, Document::open(theirs)?);
    let edits = Document::difference(&base.value()?, &theirs.value()?)?;
    let mut document = Document::open(here)?;
    document.edit(&edits, authorship(writer, stamp))?;
    here.clone_from(document.state());
    Ok(())
}

/// Who changes a document, and when.
fn authorship(writer: Writer, stamp: Stamp) -> Authorship<'static> {
    Authorship {
        writer,
        time_s: i64::try_from(stamp.millis() / 1000).unwrap_or(i64::MAX),
        message: None,
    }
}

/// A state that is written over.
pub(crate) struct Over {
    /// None where no key joins.
    view: Option<View>,
    kinds: KindRules,
}

impl Over {
    /// What a key holds if `state` is written there: a value that joins is not put over, and deleted by a
    /// new epoch (REPO-40).
    pub(crate) fn write(
        &self,
        key: &[u8],
        state: State,
        stamp: Stamp,
    ) -> Result<(State, Option<Block>), RepoError> {
        let mut rules = self.kinds.iter();
        let rule = rules.find(|(pattern, _)| pattern.matches(key));
        let Some(((_, kind), view)) = rule.zip(self.view.as_ref()) else {
            return Ok((state, None));
        };
        if state != State::Tombstone {
            return Err(RepoError::Joins {
                key: key.to_vec(),
                kind: *kind,
            });
        }
        let repo = view.repo();
        let there = view.entry(key)?;
        let there = there.as_ref().map(|entry| StateRef::from(&entry.state));
        let there = there.map(|there| joinable_of(there, &|cid| repo.raw(cid)));
        let Some(joinable) = there.transpose()?.flatten() else {
            return Ok((state, None));
        };
        let writer = repo.new_writer(stamp)?;
        let stamp = stamp.bits();
        state_of_joinable(&joinable.cleared(Epoch { stamp, writer })?)
    }
}

fn encode_line(writer: Writer, heads: &Heads) -> Result<Vec<u8>, RepoError> {
    let digest = |id: &CommitId| serde_bytes::ByteBuf::from(id.cid().hash().digest());
    let heads = heads.iter().map(digest).collect();
    canonical::encode(&Line { writer, heads })
        .map_err(|_error| RepoError::Damaged("a writer does not encode"))
}
