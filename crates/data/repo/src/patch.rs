//! A difference as text that somebody else can apply (`specs/26-patch.md`).

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _, Write};

use allod_blocks::{Batch, Block, Cid, Codec, Expect};
use allod_crdt::{Kind, State as Joinable};
use bytes::Bytes;
use multibase::Base;
use serde_json::value::RawValue;

use crate::diff::{Difference, Differences, state};
use crate::entry::{
    Entry, KEY_BYTES_MAX, State, StateRef, VALUE_BLOCK_BYTES_MAX, VALUE_INLINE_BYTES_MAX,
    is_value_link,
};
use crate::error::RepoError;
use crate::ids::BranchName;
use crate::joining::state_of_joinable;
use crate::json::Fields;
use crate::layout;
use crate::operate::Over;
use crate::plan::KEYS_LISTED;
use crate::repo::Repo;
use crate::view::{Span, View};
use crate::work::Edit;
use crate::write::{Entries, TRIES};

/// The longest line, in bytes (PATCH, "Limits"): two values of 1 MiB of which each byte is escaped
/// with six, and the rest of the line.
pub const PATCH_LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The most changes of a patch (PATCH, "Limits"): they are staged in one batch.
pub const PATCH_CHANGES_MAX: u64 = 1_000_000;

/// The longest patch, in bytes (PATCH, "Limits"): it is held in memory until it is staged.
pub const PATCH_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Keys that an error names; it counts the others.
const KEYS_SHOWN: usize = 20;

/// Why a patch was not read, written or applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// The first line is not the header of a patch (PATCH-1). Blame: whoever made it.
    #[error("line 1 is not the header of a patch of version 1")]
    Header,
    /// A line is not a change (PATCH-2 to PATCH-5). Blame: whoever made it.
    #[error("line {line}: {what}")]
    Change {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The keys do not ascend (PATCH-6). Blame: whoever made it.
    #[error("line {line}: its key does not come after the one before")]
    Order {
        /// The line, from 1.
        line: u64,
    },
    /// There are not as many changes as the header says (PATCH-7). Blame: whoever made or cut it.
    #[error("the patch has not the {stated} changes that its header says")]
    Count {
        /// What the header says.
        stated: u64,
    },
    /// A limit of the page is exceeded. Blame: whoever made it.
    #[error("a patch has at most {limit} {what}")]
    Limit {
        /// Of what there is too much.
        what: &'static str,
        /// How much there may be.
        limit: u64,
    },
    /// Keys are not as the patch says they were before (PATCH-8). Blame: the caller.
    #[error(
        "{total} keys are not as the patch says they were before: {}",
        names(keys)
    )]
    Differs {
        /// The first of them, at most [`KEYS_LISTED`].
        keys: Vec<Bytes>,
        /// How many there are.
        total: u64,
    },
    /// The patch could not be read or written. Blame: the environment.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The space could not be read or written.
    #[error(transparent)]
    Repo(#[from] RepoError),
}

impl PatchError {
    /// The registered code (`specs/registry.md`) of what is wrong with the text; `None` if it is
    /// not the text.
    #[must_use]
    pub const fn code(&self) -> Option<&'static str> {
        Some(match self {
            Self::Header => "E_PATCH_HEADER",
            Self::Change { .. } => "E_PATCH_CHANGE",
            Self::Order { .. } => "E_PATCH_ORDER",
            Self::Count { .. } => "E_PATCH_COUNT",
            Self::Limit { .. } => "E_PATCH_LIMIT",
            Self::Differs { .. } | Self::Io(_) | Self::Repo(_) => return None,
        })
    }
}

fn names(keys: &[Bytes]) -> String {
    let shown = keys.iter().take(KEYS_SHOWN);
    let shown: Vec<String> = shown.map(|key| key.escape_ascii().to_string()).collect();
    shown.join(", ")
}

/// Changes with the values they need, in key order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Patch {
    changes: Vec<Difference>,
    blocks: BTreeMap<Cid, Bytes>,
}

impl Patch {
    /// The changes, in key order.
    #[must_use]
    pub fn changes(&self) -> &[Difference] {
        &self.changes
    }

    /// The values of links that the patch brings along, by name.
    #[must_use]
    pub const fn blocks(&self) -> &BTreeMap<Cid, Bytes> {
        &self.blocks
    }

    /// The patch that undoes this one.
    #[must_use]
    pub fn reversed(mut self) -> Self {
        for change in &mut self.changes {
            std::mem::swap(&mut change.before, &mut change.after);
        }
        self
    }

    /// Reads a patch whole. Takes no more memory than the limits of the page allow.
    pub fn read(input: &mut dyn BufRead) -> Result<Self, PatchError> {
        let mut lines = Lines { input, bytes: 0 };
        let stated = lines.next()?.as_deref().and_then(header);
        let stated = stated.ok_or(PatchError::Header)?;
        if stated > PATCH_CHANGES_MAX {
            return Err(too_many_changes());
        }
        let mut patch = Self::default();
        let mut at = 1;
        while let Some(line) = lines.next()? {
            at += 1;
            if patch.changes.len() as u64 == stated {
                return Err(PatchError::Count { stated });
            }
            let change = patch
                .read_change(&line)
                .map_err(|what| PatchError::Change { line: at, what })?;
            if patch
                .changes
                .last()
                .is_some_and(|last| last.key >= change.key)
            {
                return Err(PatchError::Order { line: at });
            }
            patch.changes.push(change);
        }
        if patch.changes.len() as u64 == stated {
            Ok(patch)
        } else {
            Err(PatchError::Count { stated })
        }
    }

    /// The patch as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = header_line(self.changes.len() as u64);
        for change in &self.changes {
            text.push_str(&change_line(change, |cid| self.blocks.get(cid)));
        }
        text
    }

    fn read_change(&mut self, line: &[u8]) -> Result<Difference, &'static str> {
        let mut fields = fields(line)?;
        let key = bytes_of(&mut fields, "key", "key_base64")?.ok_or("it has no key")?;
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err("a key has 1 to 4,096 bytes");
        }
        let before = self.read_value(fields.remove("before"))?;
        let after = self.read_value(fields.remove("after"))?;
        if !fields.is_empty() {
            return Err("it has a member that is not known");
        }
        if before == after {
            return Err("it changes nothing");
        }
        Ok(Difference { key, before, after })
    }

    fn read_value(&mut self, value: Option<Box<RawValue>>) -> Result<State, &'static str> {
        let value = value.ok_or("it lacks before or after")?;
        if value.get() == "null" {
            return Ok(State::Tombstone);
        }
        let mut fields = fields(value.get().as_bytes())?;
        let kind = text_of(&mut fields, "joins")?;
        let link = text_of(&mut fields, "link")?;
        let bytes = bytes_of(&mut fields, "text", "base64")?;
        if !fields.is_empty() {
            return Err("a value has a member that is not known");
        }
        if let Some(kind) = kind {
            let kind = kind.parse().ok().filter(|_| link.is_none());
            let joinable = kind
                .zip(bytes)
                .map(|(kind, bytes)| Joinable::decode(kind, &bytes));
            let joinable = joinable.ok_or("a value that joins has a kind and a state")?;
            let joinable = joinable.map_err(|_error| "a state that joins is none")?;
            let made = state_of_joinable(&joinable);
            let (state, block) = made.map_err(|_error| "a state that joins is too large")?;
            self.blocks
                .extend(block.map(|block| (*block.cid(), block.into_bytes())));
            return Ok(state);
        }
        let Some(link) = link else {
            let bytes = bytes.ok_or("a value is empty")?;
            if bytes.len() > VALUE_INLINE_BYTES_MAX {
                return Err("a value over 1,024 bytes has a link");
            }
            return Ok(State::Value(bytes));
        };
        let cid = link.parse::<Cid>().ok();
        let cid = cid.filter(|cid| cid.to_string() == link && is_value_link(cid));
        let cid = cid.ok_or("a link is not the name of a raw block or a file")?;
        if let Some(bytes) = bytes {
            if cid.codec() != Codec::Raw.code() || bytes.len() > VALUE_BLOCK_BYTES_MAX {
                return Err("only raw blocks of at most 1 MiB are in a patch");
            }
            let block = Block::verify(cid, bytes);
            let block = block.map_err(|_error| "a value is not what its link names")?;
            self.blocks.insert(cid, block.into_bytes());
        }
        Ok(State::Link(cid))
    }
}

/// Writes what leads from one state to another in a range; returns how many changes that are.
///
/// The changes are found twice, so that their number can stand first and none is kept in memory.
pub fn write_patch(
    from: &View,
    to: &View,
    span: &Span,
    out: &mut dyn Write,
) -> Result<u64, PatchError> {
    let block = |cid: &Cid| {
        let block = from.store().get(cid)?;
        Ok(block.ok_or(RepoError::Missing(*cid))?.into_bytes())
    };
    let limits = (PATCH_CHANGES_MAX, PATCH_BYTES_MAX);
    write_changes(&|| from.diff(to, span), &block, limits, out)
}

/// Writes changes, which are found twice, with the contents of `block`; at most so many changes and
/// bytes.
pub(crate) fn write_changes(
    find: &dyn Fn() -> Differences,
    block: &dyn Fn(&Cid) -> Result<Bytes, RepoError>,
    (changes_max, bytes_max): (u64, u64),
    out: &mut dyn Write,
) -> Result<u64, PatchError> {
    let mut changes = 0;
    for change in find() {
        change?;
        changes += 1;
        if changes > changes_max {
            return Err(too_many_changes());
        }
    }
    let mut bytes = 0;
    let mut write = |line: String| {
        bytes += line.len() as u64;
        if bytes > bytes_max {
            return Err(too_long());
        }
        Ok(out.write_all(line.as_bytes())?)
    };
    write(header_line(changes))?;
    for change in find() {
        let change = change?;
        let mut blocks = BTreeMap::new();
        for state in [&change.before, &change.after] {
            if let Some(cid) = state.link()
                && cid.codec() == Codec::Raw.code()
            {
                let bytes = block(cid)?;
                if bytes.len() <= VALUE_BLOCK_BYTES_MAX {
                    blocks.insert(*cid, bytes);
                }
            }
        }
        write(change_line(&change, |cid| blocks.get(cid)))?;
    }
    Ok(changes)
}

impl Repo {
    /// Whether a patch can be applied to the working set of a branch: every key is as the patch
    /// says it was before (PATCH-8), and what it links to is here or in the patch.
    pub fn check_patch(&self, branch: &BranchName, patch: &Patch) -> Result<(), PatchError> {
        self.check_patch_on(&self.working(branch)?, patch)
    }

    /// Stages the changes of a patch, all of them or none (PATCH-9); returns how many those are.
    /// They are durable when this returns.
    pub fn apply_patch(
        &self,
        branch: &BranchName,
        patch: &Patch,
        now_ms: u64,
    ) -> Result<u64, PatchError> {
        // Blocks that nothing refers to yet stay until the edits are staged.
        let _hold = self.store().uses().hold();
        for _ in 0..TRIES {
            let (raw, _) = self.read_heads(branch)?;
            let staged = self.staged(branch)?;
            let working = self.working(branch)?;
            self.check_patch_on(&working, patch)?;
            let mut blocks = Batch::new();
            for (cid, bytes) in &patch.blocks {
                let block = Block::verify(*cid, bytes.clone());
                blocks.put(block.map_err(|_error| RepoError::Missing(*cid))?);
            }
            let _outcome = self.store().commit(blocks).map_err(RepoError::from)?;
            let mut batch = Batch::new();
            let head = layout::head(self.id(), branch);
            batch.set_ref(head, Expect::read(raw.clone()), raw);
            let mut entries = Entries::new();
            let over = self.over(|| Ok(working.clone()))?;
            for change in &patch.changes {
                let Some((entry, blocks)) = self.changed(change, &over, now_ms)? else {
                    continue;
                };
                for block in blocks {
                    batch.put(block);
                }
                entries.insert(change.key.clone(), entry.encode());
            }
            // Committed or staged anew meanwhile: look again.
            if self.stage_over(branch, &staged, entries.keys(), &entries, batch)? {
                return Ok(patch.changes.len() as u64);
            }
        }
        Err(RepoError::Contended(branch.clone()).into())
    }

    /// What a change makes of its key, and the blocks that it needs; none if nothing.
    fn changed(
        &self,
        change: &Difference,
        over: &Over,
        now_ms: u64,
    ) -> Result<Option<(Entry, Vec<Block>)>, PatchError> {
        let (state, block) = match &change.after {
            State::Tombstone => self.state_of_edit(Edit::Delete)?,
            State::Value(value) => self.state_of_edit(Edit::Put(value.clone()))?,
            State::Link(cid) => self.state_of_edit(Edit::Link(*cid))?,
            State::Joining(kind, _) | State::JoiningLink(kind, _) => {
                if self.kind_of(&change.key)?.is_none() {
                    self.check_kind(&change.key, *kind)?;
                }
                let before = StateRef::from(&change.before);
                let sides = (before, StateRef::from(&change.after), before);
                let Some((state, block)) = self.carried_over(&change.key, sides, now_ms)? else {
                    return Ok(None);
                };
                let stamp = self.tick(now_ms);
                let blocks = block.into_iter().collect();
                return Ok(Some((Entry { stamp, state }, blocks)));
            }
        };
        let stamp = self.tick(now_ms);
        let (state, new_epoch) = over.write(&change.key, state, stamp)?;
        let blocks = block.into_iter().chain(new_epoch).collect();
        Ok(Some((Entry { stamp, state }, blocks)))
    }

    fn check_patch_on(&self, working: &View, patch: &Patch) -> Result<(), PatchError> {
        let (mut keys, mut total) = (Vec::new(), 0);
        for change in &patch.changes {
            if state(working.entry(&change.key)?) != change.before {
                total += 1;
                if keys.len() < KEYS_LISTED {
                    keys.push(change.key.clone());
                }
            }
        }
        if total > 0 {
            return Err(PatchError::Differs { keys, total });
        }
        for change in &patch.changes {
            if let State::Link(cid) = change.after
                && !patch.blocks.contains_key(&cid)
            {
                self.check_link(cid)?;
            }
        }
        Ok(())
    }
}

/// Lines without their ends, within the limits.
struct Lines<'a> {
    input: &'a mut dyn BufRead,
    bytes: u64,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<Option<Vec<u8>>, PatchError> {
        let mut line = Vec::new();
        let limit = PATCH_LINE_BYTES_MAX as u64 + 1;
        let read = (&mut *self.input)
            .take(limit)
            .read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(None);
        }
        self.bytes += read as u64;
        if read as u64 == limit {
            return Err(PatchError::Limit {
                what: "bytes in a line",
                limit: limit - 1,
            });
        }
        if self.bytes > PATCH_BYTES_MAX {
            return Err(too_long());
        }
        line.pop_if(|last| *last == b'\n');
        Ok(Some(line))
    }
}

const fn too_many_changes() -> PatchError {
    PatchError::Limit {
        what: "changes",
        limit: PATCH_CHANGES_MAX,
    }
}

const fn too_long() -> PatchError {
    PatchError::Limit {
        what: "bytes",
        limit: PATCH_BYTES_MAX,
    }
}

/// What a header says there is; `None` if it is no header.
fn header(line: &[u8]) -> Option<u64> {
    let mut fields = fields(line).ok()?;
    let format = text_of(&mut fields, "format").ok()??;
    let mut number = |name| serde_json::from_str::<u64>(fields.remove(name)?.get()).ok();
    let (version, changes) = (number("version")?, number("changes")?);
    (format == "allod-patch" && version == 1 && fields.is_empty()).then_some(changes)
}

type Members = BTreeMap<String, Box<RawValue>>;

fn fields(text: &[u8]) -> Result<Members, &'static str> {
    let fields = serde_json::from_slice::<Fields>(text);
    Ok(fields
        .map_err(|_error| "it is no object of JSON without repeated names")?
        .0)
}

fn text_of(fields: &mut Members, name: &str) -> Result<Option<String>, &'static str> {
    let text = fields.remove(name);
    let text = text
        .map(|text| serde_json::from_str(text.get()))
        .transpose();
    text.map_err(|_error| "a member is no text")
}

/// Bytes that stand as text or in base64.
fn bytes_of(fields: &mut Members, text: &str, base64: &str) -> Result<Option<Bytes>, &'static str> {
    match (text_of(fields, text)?, text_of(fields, base64)?) {
        (None, None) => Ok(None),
        (Some(text), None) => Ok(Some(text.into())),
        (None, Some(coded)) => {
            let bytes = Base::Base64Pad.decode(&coded).ok();
            let bytes = bytes.filter(|bytes| Base::Base64Pad.encode(bytes) == coded);
            Ok(Some(bytes.ok_or("a member is no base64")?.into()))
        }
        (Some(_), Some(_)) => Err("a member stands as text and in base64"),
    }
}

fn header_line(changes: u64) -> String {
    format!("{{\"format\":\"allod-patch\",\"version\":1,\"changes\":{changes}}}\n")
}

fn change_line<'a>(change: &Difference, block: impl Fn(&Cid) -> Option<&'a Bytes>) -> String {
    let value = |state: &State| match state {
        State::Tombstone => "null".to_owned(),
        State::Value(bytes) => format!("{{{}}}", member("text", "base64", bytes)),
        State::Link(cid) => {
            let bytes = block(cid).map(|bytes| format!(",{}", member("text", "base64", bytes)));
            format!("{{\"link\":\"{cid}\"{}}}", bytes.unwrap_or_default())
        }
        State::Joining(kind, state) => joining(*kind, state),
        State::JoiningLink(kind, cid) => joining(
            *kind,
            block(cid).map(|state| &state[..]).unwrap_or_default(),
        ),
    };
    let key = member("key", "key_base64", &change.key);
    let (before, after) = (value(&change.before), value(&change.after));
    format!("{{{key},\"before\":{before},\"after\":{after}}}\n")
}

fn joining(kind: Kind, state: &[u8]) -> String {
    let state = Base::Base64Pad.encode(state);
    format!("{{\"joins\":\"{kind}\",\"base64\":\"{state}\"}}")
}

fn member(text: &str, base64: &str, bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(value) => format!("\"{text}\":{}", serde_json::Value::from(value)),
        Err(_) => format!("\"{base64}\":\"{}\"", Base::Base64Pad.encode(bytes)),
    }
}
