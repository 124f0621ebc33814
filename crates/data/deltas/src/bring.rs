//! Bringing what deltas say into a branch as entries, from where it was brought before (DELTA-55 to DELTA-58).

use std::collections::BTreeSet;
use std::sync::Arc;

use allod_repo::{
    BranchName, Content, Entry, Heads, RepoError, Stamp, State, Transaction, VALUE_BLOCK_BYTES_MAX,
    View,
};

use crate::delta::Delta;
use crate::hyperview::{HyperView, Looking, ViewError};
use crate::keys;
use crate::negation::MayNegate;
use crate::pointer::CONTEXT_NEGATED_BY;
use crate::resolve::{ViewSchema, ViewValue};
use crate::schema::{HyperSchema, Schemas};
use crate::space::{SpaceDeltas, read};
use crate::store::{DeltaStore as _, PAGE_MAX, StoreFault, only_visible};
use crate::tell::{read_heads, write_heads};
use crate::told::{CONTEXT_ENTRY, SCHEME, ToldEntry, ToldValue, author, plain_name};

/// How often bringing is tried on a branch that others write to.
const TRIES: u32 = 8;

/// Deltas that brought nothing after which it is kept all the same that they were looked at.
const LOOKED_MAX: u64 = 1000;

/// What stands behind a prefix that deltas are brought to (DELTA-57).
pub(crate) const BROUGHT: &[u8] = b".brought";

/// The most deltas that are gone through from a negation to what it makes visible or not (DELTA-56).
const CHAIN_MAX: usize = 64 * 1024;

/// What is brought, and where to.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "all that can be said of it")]
pub struct Bringing {
    /// The branch that gets entries.
    pub branch: BranchName,
    /// What their keys begin with, up to the last `/`.
    pub prefix: String,
    /// The schema of views, without nested ones; by target context if `None`.
    pub schema: Option<HyperSchema>,
    /// What of a view becomes a record; the last value of each property if `None`.
    pub view: Option<ViewSchema>,
}

/// What was brought.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Brought {
    /// Deltas that came, changed or went since the last time.
    pub deltas: u64,
    /// Keys that were set.
    pub set: u64,
    /// Keys that were deleted.
    pub deleted: u64,
    /// Objects that are not brought: a told value that is elsewhere, or a view that is too large.
    pub left_out: u64,
}

/// Brings the deltas of a store into entries of its space, those that came since the last time, and keeps how far
/// that went in the same commit (DELTA-57).
pub fn bring(deltas: &SpaceDeltas, bringing: &Bringing, now_ms: u64) -> Result<Brought, ViewError> {
    let schema = match &bringing.schema {
        Some(schema) => schema.clone(),
        None => HyperSchema::new("brought", "Brought"),
    };
    let no_schema = |_error| ViewError::NoSchema(schema.id.clone());
    let bringing = Making {
        schemas: Schemas::new([schema.clone()]).map_err(no_schema)?,
        schema: schema.id.clone(),
        own: author(deltas.repo.id()) + "/",
        prefix: bringing.prefix.trim_end_matches('/').to_owned() + "/",
        deltas,
        bringing,
    };
    let mut left = TRIES;
    loop {
        match bringing.once(now_ms) {
            Err(ViewError::Store(StoreFault::Repo(
                RepoError::Conflict { .. } | RepoError::Contended(_),
            ))) if left > 0 => left -= 1,
            other => return other,
        }
    }
}

struct Making<'a> {
    deltas: &'a SpaceDeltas,
    bringing: &'a Bringing,
    prefix: String,
    schemas: Schemas,
    schema: String,
    /// How the objects of this space's own entries begin.
    own: String,
}

/// What an object comes to.
enum Made {
    Value(Vec<u8>),
    Nothing,
    LeftOut,
}

impl Making<'_> {
    fn once(&self, now_ms: u64) -> Result<Brought, ViewError> {
        let repo = &self.deltas.repo;
        let mut transaction = repo.begin(&self.bringing.branch).map_err(fault)?;
        let position = [self.prefix.as_bytes(), BROUGHT].concat();
        let kept = transaction.get(&position).map_err(fault)?;
        let now = self.deltas.view()?;
        let (before, is_known) = self.before(kept)?;
        let mut brought = Brought::default();
        if is_known && before.heads() == now.heads() {
            return Ok(brought);
        }
        let objects = self.objects(&before, &now, &mut brought)?;
        for object in objects {
            let Some(key) = self.key(&object) else {
                continue;
            };
            match self.make(&object)? {
                Made::Value(value) => set(&mut transaction, key, value, &mut brought)?,
                Made::Nothing => delete(&mut transaction, key, &mut brought)?,
                Made::LeftOut => brought.left_out += 1,
            }
        }
        // Where nothing is to be written it is not written that it was looked: that would be a change as well.
        if brought.set + brought.deleted > 0 || brought.deltas >= LOOKED_MAX {
            let told = [self.settings().as_bytes(), b"\n", &write_heads(now.heads())].concat();
            transaction.put(position, told).map_err(fault)?;
            let author = self.deltas.author();
            transaction
                .commit(author, "Bring deltas in", now_ms)
                .map_err(fault)?;
        }
        Ok(brought)
    }

    /// What decides what is made: with another one all of it is made again.
    fn settings(&self) -> String {
        let schema = self.schemas.get(&self.schema).map(HyperSchema::hash);
        let view = self.bringing.view.as_ref();
        format!(
            "{} {:?}",
            schema.map(|hash| hash.to_string()).unwrap_or_default(),
            view.map(|view| format!("{:x?}", digest(view)))
        )
    }

    /// The state that was brought before, and whether one was.
    fn before(&self, kept: Option<Content>) -> Result<(View, bool), ViewError> {
        let repo = &self.deltas.repo;
        let mut heads = None;
        if let Some(Content::Bytes(bytes)) = &kept
            && let Some(at) = bytes.iter().position(|byte| *byte == b'\n')
            && bytes[..at] == *self.settings().as_bytes()
        {
            heads = Some(read_heads(Some(Content::Bytes(bytes.slice(at + 1..)))));
        }
        if let Some(heads) = &heads
            && !heads.is_empty()
        {
            match repo.together(heads) {
                Ok(view) => return Ok((view, true)),
                // Collected since, or of another replica: all is gone through.
                Err(RepoError::NoCommit(_) | RepoError::Missing(_) | RepoError::Bare(_)) => {}
                Err(error) => return Err(fault(error)),
            }
        }
        Ok((repo.together(&Heads::new()).map_err(fault)?, false))
    }

    /// The objects of which something may have changed (DELTA-56).
    fn objects(
        &self,
        before: &View,
        now: &View,
        brought: &mut Brought,
    ) -> Result<BTreeSet<String>, ViewError> {
        let mut objects = BTreeSet::new();
        for difference in before.diff(now, &keys::records()) {
            let difference = difference.map_err(fault)?;
            brought.deltas += 1;
            for (view, state) in [(before, difference.before), (now, difference.after)] {
                if state == State::Tombstone {
                    continue;
                }
                let stamp = Stamp::default();
                let content = view.content(&Entry { stamp, state }).map_err(fault)?;
                if let Some(delta) = read(content, &difference.key) {
                    self.reach(delta, &mut objects)?;
                }
            }
        }
        Ok(objects)
    }

    /// The objects of a delta, of what it negates, and so on. What it is itself may have been taken for an object.
    fn reach(&self, delta: Arc<Delta>, objects: &mut BTreeSet<String>) -> Result<(), ViewError> {
        let mut seen = BTreeSet::new();
        let mut open = vec![delta];
        while let Some(delta) = open.pop() {
            if !seen.insert(delta.id().to_owned()) {
                continue;
            }
            if seen.len() > CHAIN_MAX {
                return Err(StoreFault::Negations.into());
            }
            objects.insert(delta.id().to_owned());
            // Of what a space tells, its entries are brought and its commits are not.
            let is_told = delta.author().starts_with(SCHEME);
            for (_, to) in delta.references() {
                let is_part = |context| {
                    let is_entry = context == CONTEXT_ENTRY;
                    context != CONTEXT_NEGATED_BY && (is_entry || !is_told)
                };
                if to.context().is_some_and(is_part) {
                    objects.insert(to.id().to_owned());
                }
            }
            for id in delta.negates() {
                open.extend(self.deltas.get(id)?);
            }
        }
        Ok(())
    }

    /// The key of an object (DELTA-55); none for what this space says itself.
    fn key(&self, object: &str) -> Option<Vec<u8>> {
        if object.starts_with(&self.own) {
            return None;
        }
        let name = if object.starts_with(SCHEME) {
            plain_name(object)?
        } else {
            object.as_bytes().to_vec()
        };
        Some([self.prefix.as_bytes(), &name].concat())
    }

    fn make(&self, object: &str) -> Result<Made, ViewError> {
        if object.starts_with(SCHEME) {
            return self.entry(object);
        }
        // Deltas are no objects, whoever refers to them.
        if self.deltas.get(object)?.is_some() {
            return Ok(Made::Nothing);
        }
        let looking = Looking::default();
        let view = HyperView::of(self.deltas, &self.schemas, &self.schema, object, &looking);
        let view = match view {
            Ok(view) => view,
            Err(ViewError::Budget | ViewError::Store(StoreFault::Negations)) => {
                return Ok(Made::LeftOut);
            }
            Err(error) => return Err(error),
        };
        let record = match &self.bringing.view {
            Some(schema) => schema.resolve(&view),
            None => ViewSchema::last_of_each(&view).resolve(&view),
        };
        if record.is_empty() {
            return Ok(Made::Nothing);
        }
        let value = ViewValue::View(record).to_json().into_bytes();
        Ok(if value.len() > VALUE_BLOCK_BYTES_MAX {
            Made::LeftOut
        } else {
            Made::Value(value)
        })
    }

    /// What another space told of a key: the greatest of what is visible (DELTA-55).
    fn entry(&self, object: &str) -> Result<Made, ViewError> {
        let (mut after, mut greatest) = (None, None);
        loop {
            let page =
                self.deltas
                    .targeting(object, Some(CONTEXT_ENTRY), after.as_ref(), PAGE_MAX)?;
            let anyone = (None, &MayNegate::Anyone);
            let visible = only_visible(self.deltas, page.deltas, anyone, &mut |_id| {})?;
            for delta in visible {
                if let Some(told) = ToldEntry::of(&delta, object) {
                    let place = (told.stamp, delta.id().to_owned());
                    if greatest.as_ref().is_none_or(|(known, _)| place > *known) {
                        greatest = Some((place, told.value));
                    }
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(match greatest {
            None | Some((_, ToldValue::Deleted)) => Made::Nothing,
            Some((_, ToldValue::Bytes(value))) => Made::Value(value),
            Some((_, ToldValue::Elsewhere)) => Made::LeftOut,
        })
    }
}

fn digest(view: &ViewSchema) -> [u8; 32] {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(format!("{view:?}")).into()
}

fn set(
    transaction: &mut Transaction,
    key: Vec<u8>,
    value: Vec<u8>,
    brought: &mut Brought,
) -> Result<(), ViewError> {
    let is_there = match transaction.get(&key).map_err(fault)? {
        Some(Content::Bytes(bytes)) => bytes == value,
        _ => false,
    };
    if !is_there {
        transaction.put(key, value).map_err(fault)?;
        brought.set += 1;
    }
    Ok(())
}

fn delete(
    transaction: &mut Transaction,
    key: Vec<u8>,
    brought: &mut Brought,
) -> Result<(), ViewError> {
    if transaction.get(&key).map_err(fault)?.is_some() {
        transaction.delete(key).map_err(fault)?;
        brought.deleted += 1;
    }
    Ok(())
}

fn fault(error: RepoError) -> ViewError {
    StoreFault::from(error).into()
}
