//! What is brought goes into commits, without the keys that the space refuses (DELTA-57, DELTA-59).

use allod_repo::{BranchName, Content, Heads, KindRules, RepoError, Transaction};
use bytes::Bytes;

use super::{Brought, Refused, fault};
use crate::hyperview::ViewError;
use crate::space::SpaceDeltas;
use crate::tell::write_heads;

/// Keys that are written in one commit, and their bytes: as much is held at a time.
const BATCH: usize = 1000;
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// What stands behind the heads where a commit was made to ask (DELTA-59).
pub(super) const ASKED: &[u8] = b"\n";

/// Single keys that are not taken after which it is asked whether any commit is.
const DOUBTED_MAX: usize = 8;

/// What the commits say.
const MESSAGE: &str = "Bring deltas in";

/// Where what is brought goes.
pub(super) struct Writing<'a> {
    pub(super) deltas: &'a SpaceDeltas,
    pub(super) branch: &'a BranchName,
    /// The key of how far deltas were brought.
    pub(super) position: Vec<u8>,
    /// What decides what is made.
    pub(super) settings: String,
    pub(super) now_ms: u64,
    pub(super) go_on: &'a dyn Fn() -> bool,
}

/// A key, and what it is to have; nothing if it is to be deleted.
type Change = (Bytes, Option<Bytes>);

/// What goes into one commit.
pub(super) struct Batch {
    pub(super) transaction: Transaction,
    kinds: KindRules,
    changes: Vec<Change>,
    bytes: usize,
}

impl Batch {
    pub(super) const fn is_full(&self) -> bool {
        self.changes.len() >= BATCH || self.bytes >= BATCH_BYTES
    }

    pub(super) const fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Sets a key, or deletes it; nothing if it is so already.
    pub(super) fn change(
        &mut self,
        key: Vec<u8>,
        value: Option<Vec<u8>>,
        brought: &mut Brought,
    ) -> Result<(), ViewError> {
        let change = (Bytes::from(key), value.map(Bytes::from));
        // Each commit would name one of these, and all the others be tried again.
        if let Some(error) = self.joins(&change) {
            brought.refuse(&change.0, &error);
            return Ok(());
        }
        match put(&mut self.transaction, &change) {
            Ok(true) => {
                self.bytes += change.0.len() + change.1.as_ref().map_or(0, Bytes::len);
                self.changes.push(change);
            }
            Ok(false) => {}
            // No space can have a key that is so long, and this replica none that is not in its part.
            Err(error @ (RepoError::BadKey { .. } | RepoError::OutOfPart { .. })) => {
                brought.refuse(&change.0, &error);
            }
            Err(error) => return Err(fault(error)),
        }
        Ok(())
    }

    /// Why a key cannot be set, if it has values that join: nothing is put over them.
    fn joins(&self, (key, value): &Change) -> Option<RepoError> {
        value.as_ref()?;
        let mut rules = self.kinds.iter();
        let (_, kind) = rules.find(|(pattern, _)| pattern.matches(key))?;
        let (key, kind) = (key.to_vec(), *kind);
        Some(RepoError::Joins { key, kind })
    }
}

impl Writing<'_> {
    pub(super) fn begin(&self) -> Result<Batch, ViewError> {
        Ok(Batch {
            transaction: self.deltas.repo.begin(self.branch).map_err(fault)?,
            kinds: self.deltas.repo.kind_rules().map_err(fault)?,
            changes: Vec::new(),
            bytes: 0,
        })
    }

    /// Commits a batch, and with it how far deltas were brought: whoever tells the branch sees by that what was. Of
    /// several commits that it takes all but the last say how far it was `before`, and so does the last if a key
    /// waits. Without a key, and no further than before, there is none.
    pub(super) fn commit(
        &self,
        batch: Batch,
        (before, heads): (&Heads, &Heads),
        brought: &mut Brought,
    ) -> Result<(), ViewError> {
        let changes = batch.changes;
        let goes_on = |brought: &Brought| heads != before && brought.waits.is_none();
        if changes.is_empty() && !goes_on(brought) {
            return Ok(());
        }
        let at = if goes_on(brought) { heads } else { before };
        match self.write(batch.transaction, &changes, at, brought) {
            Err(error) if self.is_of_keys(&error) => {
                if self.sort_out(changes, before, error, brought)? && goes_on(brought) {
                    self.again(&[], heads, brought).map_err(fault)?;
                }
                Ok(())
            }
            other => other.map_err(fault),
        }
    }

    /// Writes the changes that are taken: those that a refusal names are left out, and else the halves of what is
    /// refused are tried, down to single keys. One on which the hook fails waits. `false` if it was to end before
    /// that was done.
    fn sort_out(
        &self,
        mut part: Vec<Change>,
        before: &Heads,
        mut error: RepoError,
        brought: &mut Brought,
    ) -> Result<bool, ViewError> {
        let (mut open, mut doubt) = (Vec::new(), Doubt::default());
        loop {
            match key_of(&error) {
                Some(key) if part.iter().any(|(of, _)| of == key) => {
                    part.retain(|(of, _)| of != key);
                    brought.refuse(key, &error);
                }
                _ => {
                    if doubt.is_to_ask(&error, part.len()) {
                        self.ask(before).map_err(fault)?;
                    }
                    if part.len() > 1 {
                        open.push(part.split_off(part.len() / 2));
                    } else if let Some((key, _)) = part.pop() {
                        brought.leave_out(&key, error);
                    }
                }
            }
            error = loop {
                if part.is_empty() {
                    let Some(next) = open.pop() else {
                        return Ok(true);
                    };
                    part = next;
                }
                if !(self.go_on)() {
                    return Ok(false);
                }
                match self.again(&part, before, brought) {
                    Ok(()) => {
                        doubt.is_over = true;
                        part.clear();
                    }
                    Err(refused) if self.is_of_keys(&refused) => break refused,
                    Err(other) => return Err(fault(other)),
                }
            };
        }
    }

    /// Fails if a commit that has none of the keys is refused too. That it was not is written in it, so that it is
    /// asked once from where it was brought before, however often that is tried.
    fn ask(&self, before: &Heads) -> Result<(), RepoError> {
        let asked = [&self.told(before)[..], ASKED].concat();
        let mut transaction = self.deltas.repo.begin(self.branch)?;
        let kept = transaction.get(&self.position)?;
        if matches!(kept, Some(Content::Bytes(bytes)) if bytes == asked) {
            return Ok(());
        }
        transaction.put(self.position.clone(), asked)?;
        transaction.commit(self.deltas.author(), MESSAGE, self.now_ms)?;
        Ok(())
    }

    fn again(
        &self,
        changes: &[Change],
        heads: &Heads,
        brought: &mut Brought,
    ) -> Result<(), RepoError> {
        let mut transaction = self.deltas.repo.begin(self.branch)?;
        for change in changes {
            put(&mut transaction, change)?;
        }
        self.write(transaction, changes, heads, brought)
    }

    /// Commits what is in a transaction, which are these changes.
    fn write(
        &self,
        mut transaction: Transaction,
        changes: &[Change],
        heads: &Heads,
        brought: &mut Brought,
    ) -> Result<(), RepoError> {
        transaction.put(self.position.clone(), self.told(heads))?;
        transaction.commit(self.deltas.author(), MESSAGE, self.now_ms)?;
        let set = changes.iter().filter(|(_, value)| value.is_some()).count() as u64;
        brought.set += set;
        brought.deleted += changes.len() as u64 - set;
        Ok(())
    }

    fn told(&self, heads: &Heads) -> Vec<u8> {
        [self.settings.as_bytes(), b"\n", &write_heads(heads)].concat()
    }

    /// Whether keys are refused, and others of the commit may be taken. How far it was brought is always written, and
    /// is no key that can be left out.
    fn is_of_keys(&self, error: &RepoError) -> bool {
        match key_of(error) {
            Some(key) => key != self.position,
            None => matches!(error, RepoError::Hook(_) | RepoError::HookFailed(_)),
        }
    }
}

/// The key that a refusal names.
fn key_of(error: &RepoError) -> Option<&[u8]> {
    match error {
        RepoError::Joins { key, .. }
        | RepoError::PlainValue { key }
        | RepoError::OtherKind { key, .. }
        | RepoError::NoKind { key, .. }
        | RepoError::OutOfPart { key } => Some(key),
        _ => None,
    }
}

/// Makes a change in a transaction, unless it is so already; whether it was made.
fn put(transaction: &mut Transaction, (key, value): &Change) -> Result<bool, RepoError> {
    let known = transaction.get(key)?;
    let is_so = match (value, &known) {
        (None, None) => true,
        (Some(value), Some(Content::Bytes(bytes))) => bytes == value,
        _ => false,
    };
    match (is_so, value) {
        (true, _) => {}
        (false, Some(value)) => transaction.put(key.clone(), value.clone())?,
        (false, None) => transaction.delete(key.clone())?,
    }
    Ok(!is_so)
}

/// Whether it may be the commits that are not taken, whatever keys they have.
#[derive(Default)]
struct Doubt {
    /// One was taken, or was asked for without any of the keys.
    is_over: bool,
    /// Single keys that were not taken.
    keys: usize,
}

impl Doubt {
    /// Whether it is time to ask. A hook that fails may take long to, so that is asked at once; else a commit is spared
    /// that brings nothing, as another key will mostly be taken.
    const fn is_to_ask(&mut self, error: &RepoError, keys: usize) -> bool {
        self.keys += (keys == 1) as usize;
        let is_time = matches!(error, RepoError::HookFailed(_)) || self.keys >= DOUBTED_MAX;
        let is_to_ask = is_time && !self.is_over;
        self.is_over |= is_to_ask;
        is_to_ask
    }
}

impl Brought {
    /// Leaves a key out, or has it wait if that may pass.
    fn leave_out(&mut self, key: &[u8], error: RepoError) {
        match error {
            RepoError::HookFailed(words) => {
                let key = key.to_vec();
                self.waits.get_or_insert(Refused { key, words });
            }
            error => self.refuse(key, &error),
        }
    }

    fn refuse(&mut self, key: &[u8], error: &RepoError) {
        self.refused += 1;
        if self.refusals.len() < super::REFUSALS_MAX {
            self.refusals.push(Refused {
                key: key.to_vec(),
                words: error.to_string(),
            });
        }
    }
}
