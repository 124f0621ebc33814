//! Bringing what deltas say into a branch as entries, from where it was brought before (DELTA-55 to DELTA-58).

mod writing;

use std::collections::BTreeSet;

use allod_repo::{
    BranchName, Content, Entry, Heads, RepoError, Stamp, State, VALUE_BLOCK_BYTES_MAX, View,
};

use self::writing::{ASKED, Writing};
use crate::delta::Delta;
use crate::hyperview::{HyperView, Looking, ViewError};
use crate::keys;
use crate::negation::MayNegate;
use crate::pointer::CONTEXT_NEGATED_BY;
use crate::resolve::{ViewSchema, ViewValue};
use crate::schema::{HyperSchema, Schemas};
use crate::space::{SpaceDeltas, read};
use crate::store::{DeltaStore as _, PAGE_MAX, StoreFault, only_visible};
use crate::tell::read_heads;
use crate::told::{CONTEXT_ENTRY, SCHEME, ToldEntry, ToldValue, author, plain_name};

/// How often bringing is tried on a branch that others write to.
const TRIES: u32 = 8;

/// Deltas that brought nothing after which it is kept all the same that they were looked at.
const LOOKED_MAX: u64 = 1000;

/// Keys that were refused, and are named.
const REFUSALS_MAX: usize = 8;

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

/// A key that the space refuses (DELTA-59).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Refused {
    /// The key.
    pub key: Vec<u8>,
    /// Why it is refused, in words of the space or of its hook.
    pub words: String,
}

/// What was brought.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Brought {
    /// Deltas that came, changed or went since the last time.
    pub deltas: u64,
    /// Keys that were set.
    pub set: u64,
    /// Keys that were deleted.
    pub deleted: u64,
    /// Objects that are not brought: a told value that is elsewhere, a view that is too large, or what lies behind
    /// more negations than are gone through.
    pub left_out: u64,
    /// Keys that the space refuses, by a type, a hook or what stands there (DELTA-59).
    pub refused: u64,
    /// The first eight of them.
    pub refusals: Vec<Refused>,
    /// A key on which the hook failed.
    waits: Option<Refused>,
}

/// Brings the deltas of a store into entries of its space, those that came since the last time, and keeps how far
/// that went in the last of the commits (DELTA-57).
///
/// Fails with [`RepoError::HookFailed`] if the hook did so on a key; all others are brought, and it is tried with that
/// one again the next time (DELTA-59).
pub fn bring(deltas: &SpaceDeltas, bringing: &Bringing, now_ms: u64) -> Result<Brought, ViewError> {
    Making::new(deltas, bringing, &|| true)?.all(now_ms)
}

/// [`bring`] from the first delta on: what was refused before is tried again (DELTA-59), and what has not changed is not
/// written.
pub fn bring_again(
    deltas: &SpaceDeltas,
    bringing: &Bringing,
    now_ms: u64,
) -> Result<Brought, ViewError> {
    let mut making = Making::new(deltas, bringing, &|| true)?;
    making.is_again = true;
    making.all(now_ms)
}

/// [`bring`] for a program that does so by itself, again and again: what was brought with other schemas is refused,
/// as it is somebody else who does so (DELTA-57); and once `go_on` says so it ends before the next object.
pub fn bring_while(
    deltas: &SpaceDeltas,
    bringing: &Bringing,
    now_ms: u64,
    go_on: &dyn Fn() -> bool,
) -> Result<Brought, ViewError> {
    let mut making = Making::new(deltas, bringing, go_on)?;
    making.is_alone = false;
    making.all(now_ms)
}

struct Making<'a> {
    deltas: &'a SpaceDeltas,
    bringing: &'a Bringing,
    prefix: String,
    schemas: Schemas,
    schema: String,
    /// How the objects of this space's own entries begin.
    own: String,
    /// Whether what was brought with other schemas is made again.
    is_alone: bool,
    /// Whether all is made again, whatever was brought.
    is_again: bool,
    go_on: &'a dyn Fn() -> bool,
}

/// What an object comes to.
enum Made {
    Value(Vec<u8>),
    Nothing,
    LeftOut,
}

impl<'a> Making<'a> {
    fn new(
        deltas: &'a SpaceDeltas,
        bringing: &'a Bringing,
        go_on: &'a dyn Fn() -> bool,
    ) -> Result<Self, ViewError> {
        let schema = match &bringing.schema {
            Some(schema) => schema.clone(),
            None => HyperSchema::new("brought", "Brought"),
        };
        let no_schema = |_error| ViewError::NoSchema(schema.id.clone());
        Ok(Self {
            schemas: Schemas::new([schema.clone()]).map_err(no_schema)?,
            schema: schema.id.clone(),
            own: author(deltas.repo.id()) + "/",
            prefix: bringing.prefix.trim_end_matches('/').to_owned() + "/",
            deltas,
            bringing,
            is_alone: true,
            is_again: false,
            go_on,
        })
    }

    fn all(&self, now_ms: u64) -> Result<Brought, ViewError> {
        let (mut left, mut brought) = (TRIES, Brought::default());
        loop {
            // What was set until others wrote too stays so.
            (brought.deltas, brought.left_out, brought.refused) = (0, 0, 0);
            (brought.refusals, brought.waits) = (Vec::new(), None);
            match self.once(now_ms, &mut brought) {
                Err(ViewError::Store(StoreFault::Repo(
                    RepoError::Conflict { .. } | RepoError::Contended(_),
                ))) if left > 0 => left -= 1,
                other => return other.map(|()| brought),
            }
        }
    }

    fn once(&self, now_ms: u64, brought: &mut Brought) -> Result<(), ViewError> {
        let writing = Writing {
            deltas: self.deltas,
            branch: &self.bringing.branch,
            position: self.position(),
            settings: self.settings(),
            now_ms,
            go_on: self.go_on,
        };
        let mut batch = writing.begin()?;
        let kept = batch.transaction.get(&writing.position).map_err(fault)?;
        let now = self.deltas.view()?;
        let (before, is_known) = self.before(kept)?;
        if is_known && before.heads() == now.heads() {
            return Ok(());
        }
        // Where it was before is where it goes on from, if it ends before all is written.
        let (before_heads, whole) = (before.heads(), (before.heads(), now.heads()));
        let some = (before_heads, before_heads);
        for object in self.objects(&before, &now, brought)? {
            let Some(key) = self.key(&object) else {
                continue;
            };
            if !(self.go_on)() {
                return writing.commit(batch, some, brought);
            }
            match self.make(&object)? {
                Made::Value(value) => batch.change(key, Some(value), brought)?,
                Made::Nothing => batch.change(key, None, brought)?,
                Made::LeftOut => brought.left_out += 1,
            }
            if batch.is_full() {
                writing.commit(batch, some, brought)?;
                batch = writing.begin()?;
            }
        }
        // Where nothing was written it is not written that it was looked: that would be a change as well. But what was
        // refused is not tried again, each time and for nothing.
        let has_written = brought.set + brought.deleted > 0 || batch.has_changes();
        if has_written || brought.refused > 0 || brought.deltas >= LOOKED_MAX {
            writing.commit(batch, whole, brought)?;
        }
        match brought.waits.take() {
            Some(Refused { key, words }) => {
                let words = format!("key {}: {words}", key.escape_ascii());
                Err(fault(RepoError::HookFailed(words)))
            }
            None => Ok(()),
        }
    }

    fn position(&self) -> Vec<u8> {
        [self.prefix.as_bytes(), BROUGHT].concat()
    }

    /// What decides what is made: with another one all of it is made again.
    fn settings(&self) -> String {
        let schema = self.schemas.get(&self.schema).map(HyperSchema::hash);
        let schema = schema.map(|hash| hash.to_string()).unwrap_or_default();
        let view = self.bringing.view.as_ref().map(ViewSchema::hash);
        let view = view.map_or_else(|| "-".to_owned(), |hash| hash.to_string());
        format!("{schema} {view}")
    }

    /// The state that was brought before, and whether one was.
    fn before(&self, kept: Option<Content>) -> Result<(View, bool), ViewError> {
        let repo = &self.deltas.repo;
        let mut heads = None;
        if let Some(Content::Bytes(bytes)) = &kept
            && let Some(at) = bytes.iter().position(|byte| *byte == b'\n')
        {
            if bytes[..at] == *self.settings().as_bytes() {
                let text = &bytes[at + 1..];
                let text = text.strip_suffix(ASKED).unwrap_or(text);
                heads = Some(read_heads(Some(Content::Bytes(bytes.slice_ref(text)))));
            } else if !self.is_alone {
                return Err(ViewError::Brought(self.prefix.clone()));
            }
        }
        if self.is_again {
            heads = None;
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
        let (mut objects, mut seen) = (BTreeSet::new(), BTreeSet::new());
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
                    let is_whole = self.reach(&delta, &mut seen, &mut objects)?;
                    brought.left_out += u64::from(!is_whole);
                }
            }
        }
        Ok(objects)
    }

    /// The objects of a delta, of what it negates, and so on; whether these were all. What it is itself may have been
    /// taken for an object. Deltas that were `seen` are not gone through again, nor are all of them held at a time.
    fn reach(
        &self,
        delta: &Delta,
        seen: &mut BTreeSet<String>,
        objects: &mut BTreeSet<String>,
    ) -> Result<bool, ViewError> {
        // Of an id that was seen this may be another content.
        parts(delta, objects);
        seen.insert(delta.id().to_owned());
        let mut open: Vec<String> = delta.negates().map(str::to_owned).collect();
        let mut steps = 0;
        while let Some(id) = open.pop() {
            if seen.contains(&id) {
                continue;
            }
            steps += 1;
            if steps > CHAIN_MAX {
                return Ok(false);
            }
            if let Some(delta) = self.deltas.get(&id)? {
                parts(&delta, objects);
                open.extend(delta.negates().map(str::to_owned));
            }
            seen.insert(id);
        }
        Ok(true)
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
            let visible = only_visible(self.deltas, page.deltas, anyone, &mut |_id| {});
            let visible = match visible {
                Err(StoreFault::Negations) => return Ok(Made::LeftOut),
                visible => visible?,
            };
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

/// A delta, and the objects that it refers to under a context.
fn parts(delta: &Delta, objects: &mut BTreeSet<String>) {
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
}

fn fault(error: RepoError) -> ViewError {
    StoreFault::from(error).into()
}
