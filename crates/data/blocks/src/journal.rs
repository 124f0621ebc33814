//! How far a journal of fjall is whole, in the form that fjall 3.1 gives it.
//!
//! ```text
//! batch    01   items (u32)   number (u64)   item ...   03   XXH3 of the items (u64)   "FJL" 03
//! item     02   kind (u8)   compression (u8, 0)   keyspace (u64)
//!          length of the key (u16), of the value (u32), of the value in the file (u32)   key   value
//! clear    04   keyspace (u64)
//! ```

use xxhash_rust::xxh3::xxh3_64;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;

const TRAILER: [u8; 4] = *b"FJL\x03";

/// Of the bytes of a journal, how many are whole batches, from its beginning.
pub(crate) fn whole_bytes(journal: &[u8]) -> usize {
    let mut rest = journal;
    while let Some(after) = batch(rest) {
        rest = after;
    }
    journal.len() - rest.len()
}

/// What follows a whole batch; `None` if there is none.
fn batch(journal: &[u8]) -> Option<&[u8]> {
    let (items, rest) = tagged(journal, START)?.split_first_chunk()?;
    let (_number, start) = rest.split_first_chunk::<8>()?;
    let mut rest = start;
    for _ in 0..u32::from_le_bytes(*items) {
        rest = item(rest)?;
    }
    let items = start.get(..start.len() - rest.len())?;
    let (checksum, rest) = tagged(rest, END)?.split_first_chunk()?;
    let rest = rest.strip_prefix(&TRAILER)?;
    (xxh3_64(items) == u64::from_le_bytes(*checksum)).then_some(rest)
}

fn item(journal: &[u8]) -> Option<&[u8]> {
    if let Some(rest) = tagged(journal, CLEAR) {
        return rest.get(8..);
    }
    let rest = tagged(journal, ITEM)?.get(1 + 1 + 8..)?;
    let (key, rest) = rest.split_first_chunk()?;
    let (value, rest) = rest.get(4..)?.split_first_chunk()?;
    rest.get(usize::from(u16::from_le_bytes(*key)) + u32::from_le_bytes(*value) as usize..)
}

fn tagged(journal: &[u8], tag: u8) -> Option<&[u8]> {
    journal.strip_prefix(&[tag])
}
