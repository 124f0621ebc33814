//! Hooks after a commit: cursors on the log (HOOK-10 to HOOK-12).

use std::panic::{AssertUnwindSafe, catch_unwind};

use allod_blocks::{Batch, BatchOutcome, Expect, Store};
use allod_identity::canonical;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::RepoError;
use crate::event::RefMove;
use crate::layout;

/// How often a follower is told of a move before it is passed over (HOOK-11).
pub const FOLLOW_TRIES: u64 = 3;

/// Log entries read at a time.
const PAGE: usize = 64;

/// A record is four numbers.
const RECORD_BYTES_MAX: usize = 64;

/// Where a follower stands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Follower {
    /// The position of the next log entry that it hears of.
    pub next: u64,
    /// How often it has failed at that one.
    pub failed: u64,
    /// Moves that it failed at too often, and that were passed over.
    pub given_up: u64,
    /// Log entries that were gone before it heard of them.
    pub missed: u64,
}

/// What a follower heard of in one call of [`follow`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Heard {
    /// Moves that it heard of and took.
    pub moves: u64,
    /// What it said when it failed, if it did; it hears of that move again.
    pub failure: Option<String>,
}

/// Where the follower of a name stands; `None` if it has not begun.
pub fn follower(store: &dyn Store, name: &str) -> Result<Option<Follower>, RepoError> {
    Ok(read(store, name)?.map(|(_, record)| record))
}

/// Lets a follower begin with the moves that come from now on; nothing if it has begun.
pub fn begin_to_follow(store: &dyn Store, name: &str) -> Result<(), RepoError> {
    if read(store, name)?.is_none() {
        let next = store.stats()?.log_end;
        // Somebody else may have begun it meanwhile.
        let _begun = write(
            store,
            name,
            None,
            Follower {
                next,
                ..Follower::default()
            },
        )?;
    }
    Ok(())
}

/// Tells a follower of the moves that it has not heard of, in order, until it fails or there are no
/// more. Its cursor moves, durably, after each that it took.
///
/// It is for the caller to see that one name is followed by one caller at a time; two at once would
/// tell of a move twice, and lose none.
pub fn follow(
    store: &dyn Store,
    name: &str,
    hear: &mut dyn FnMut(u64, &RefMove) -> Result<(), String>,
) -> Result<Heard, RepoError> {
    begin_to_follow(store, name)?;
    let mut heard = Heard::default();
    while let Some((raw, mut record)) = read(store, name)? {
        let page = store.read_log(record.next, PAGE)?;
        if page.is_empty() {
            break;
        }
        // What is told is durable.
        store.sync()?;
        let mut raw = Some(raw);
        for entry in page {
            record.missed += entry.position.saturating_sub(record.next);
            record.next = entry.position;
            let outcome = RefMove::decode(&entry.bytes)
                .map_err(|error| error.to_string())
                .and_then(|moved| told(hear, entry.position, &moved));
            match &outcome {
                Ok(()) => heard.moves += 1,
                Err(_) => record.failed += 1,
            }
            if outcome.is_ok() || record.failed >= FOLLOW_TRIES {
                record.given_up += u64::from(outcome.is_err());
                record.failed = 0;
                record.next += 1;
            }
            let Some(written) = write(store, name, raw, record)? else {
                // Another caller was faster.
                return Ok(heard);
            };
            raw = Some(written);
            if let Err(words) = outcome {
                heard.failure = Some(words);
                return Ok(heard);
            }
        }
    }
    Ok(heard)
}

fn told(
    hear: &mut dyn FnMut(u64, &RefMove) -> Result<(), String>,
    position: u64,
    moved: &RefMove,
) -> Result<(), String> {
    // Nothing here depends on what the follower left half done.
    catch_unwind(AssertUnwindSafe(|| hear(position, moved)))
        .unwrap_or_else(|_| Err("it panicked".to_owned()))
}

fn read(store: &dyn Store, name: &str) -> Result<Option<(Bytes, Follower)>, RepoError> {
    let Some(raw) = store.get_ref(&layout::follower(name))? else {
        return Ok(None);
    };
    let record = canonical::decode(&raw, RECORD_BYTES_MAX)
        .map_err(|_error| RepoError::Damaged("the cursor of a hook does not decode"))?;
    Ok(Some((raw, record)))
}

/// The bytes that were written; `None` if others were there than expected.
fn write(
    store: &dyn Store,
    name: &str,
    expected: Option<Bytes>,
    record: Follower,
) -> Result<Option<Bytes>, RepoError> {
    let bytes = canonical::encode(&record)
        .map_err(|_error| RepoError::Damaged("the cursor of a hook does not encode"))?;
    let bytes = Bytes::from(bytes);
    let mut batch = Batch::new();
    let expect = Expect::read(expected);
    batch.set_ref(layout::follower(name), expect, Some(bytes.clone()));
    Ok(match store.commit(batch)? {
        BatchOutcome::Done { .. } => Some(bytes),
        BatchOutcome::Moved { .. } => None,
    })
}
