//! A range of a file, read part by part.

use bytes::Bytes;
use cid::Cid;

use crate::block::Codec;
use crate::dag_pb::{FileNode, PbError};
use crate::file::{FILE_DEPTH_MAX, FileError};
use crate::store::Store;

/// Reads some bytes of a file, a chunk at a time, so that whoever sends them on decides when the next is
/// read. Parts before the range are passed over by their stated sizes and not read.
///
/// Every part is verified against its name and its stated size before any of it is given.
/// Memory: one chunk and the index nodes of one path.
#[derive(Debug)]
pub struct FileRange {
    /// Parts still to be read, the next one last.
    open: Vec<Open>,
    /// Bytes before the range that are still to be passed over.
    skip: u64,
    /// Bytes of the range that were not given yet.
    left: u64,
}

#[derive(Debug)]
struct Open {
    cid: Cid,
    depth: usize,
    stated: Option<u64>,
}

impl FileRange {
    /// `bytes` bytes of the file `cid` from position `from` on, or as many as there are.
    #[must_use]
    pub fn new(cid: Cid, from: u64, bytes: u64) -> Self {
        Self {
            open: vec![Open {
                cid,
                depth: 0,
                stated: None,
            }],
            skip: from,
            left: bytes,
        }
    }

    /// The next bytes of the range, at least one; `None` behind its end or that of the file. After an error
    /// it is over.
    pub fn next(&mut self, store: &dyn Store) -> Result<Option<Bytes>, FileError> {
        while self.left > 0
            && let Some(open) = self.open.pop()
        {
            if let Some(stated) = open.stated.filter(|stated| *stated <= self.skip) {
                self.skip -= stated;
                continue;
            }
            let given = match self.read(open, store) {
                Ok(content) => self.within(content),
                Err(error) => {
                    self.left = 0;
                    return Err(error);
                }
            };
            if !given.is_empty() {
                return Ok(Some(given));
            }
        }
        Ok(None)
    }

    /// The bytes of a part itself; those below it are put in line.
    fn read(&mut self, part: Open, store: &dyn Store) -> Result<Bytes, FileError> {
        let Open { cid, depth, stated } = part;
        let block = store.get(&cid)?.ok_or(FileError::Missing(cid))?;
        let is_stated = |size: u64| match stated {
            Some(stated) if stated != size => Err(FileError::Index {
                cid,
                source: PbError::Sizes,
            }),
            _ => Ok(()),
        };
        match Codec::from_code(cid.codec()) {
            Some(Codec::Raw) => {
                is_stated(block.bytes().len() as u64)?;
                Ok(block.into_bytes())
            }
            Some(Codec::DagPb) => {
                if depth >= FILE_DEPTH_MAX {
                    return Err(FileError::TooDeep);
                }
                let node =
                    FileNode::decode(&block).map_err(|source| FileError::Index { cid, source })?;
                is_stated(node.content())?;
                self.open.extend(node.parts.iter().rev().map(|part| Open {
                    cid: part.cid,
                    depth: depth + 1,
                    stated: Some(part.content),
                }));
                Ok(node.inline.into())
            }
            _ => Err(FileError::NotAFile(cid)),
        }
    }

    /// What of some content is in the range.
    fn within(&mut self, mut content: Bytes) -> Bytes {
        let skipped = self.skip.min(content.len() as u64);
        self.skip -= skipped;
        let mut content = content.split_off(skipped as usize);
        let taken = self.left.min(content.len() as u64);
        self.left -= taken;
        content.truncate(taken as usize);
        content
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::block::Block;
    use crate::dag_pb::Part;
    use crate::file::{FileProfile, add_file, read_file};
    use crate::memory::MemoryStore;
    use crate::store::Batch;

    const SMALL: FileProfile = FileProfile {
        chunk_bytes: 3,
        links: 2,
    };

    fn read(store: &dyn Store, cid: Cid, from: u64, bytes: u64) -> Result<Vec<u8>, FileError> {
        let mut range = FileRange::new(cid, from, bytes);
        let mut all = Vec::new();
        while let Some(chunk) = range.next(store)? {
            assert!(!chunk.is_empty());
            all.extend(chunk);
        }
        assert!(range.next(store)?.is_none());
        Ok(all)
    }

    proptest! {
        #[test]
        fn a_range_is_that_of_the_whole(
            content in prop::collection::vec(any::<u8>(), 0..60),
            from in 0_u64..70,
            bytes in 0_u64..70,
        ) {
            let store = MemoryStore::new();
            let file = add_file(&store, SMALL, &mut &content[..], &mut |_| {}).unwrap();
            let mut whole = Vec::new();
            read_file(&store, &file.cid, &mut whole).unwrap();
            let part = whole.iter().copied().skip(from as usize).take(bytes as usize);
            prop_assert_eq!(read(&store, file.cid, from, bytes).unwrap(), part.collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_before_the_range_is_not_read() {
        let store = MemoryStore::new();
        let leaf = |bytes: &'static [u8]| Block::new(Codec::Raw, bytes).unwrap();
        let (absent, here) = (leaf(b"not here"), leaf(b"here"));
        let part = |block: &Block| Part {
            cid: *block.cid(),
            content: block.bytes().len() as u64,
            total: block.bytes().len() as u64,
        };
        let root = FileNode::encode(&[part(&absent), part(&here)]).unwrap();
        let cid = *root.cid();
        let mut batch = Batch::new();
        batch.put(root);
        batch.put(here);
        let _outcome = store.commit(batch).unwrap();
        assert_eq!(read(&store, cid, 9, 2).unwrap(), b"er");
        assert_eq!(read(&store, cid, 8, u64::MAX).unwrap(), b"here");
        let error = read(&store, cid, 7, 1).unwrap_err();
        assert_eq!(error.code(), "E_BLOCK_MISSING");
    }

    #[test]
    fn a_part_that_is_not_as_large_as_stated_is_refused() {
        let store = MemoryStore::new();
        let leaf = Block::new(Codec::Raw, &b"four"[..]).unwrap();
        let part = Part {
            cid: *leaf.cid(),
            content: 5,
            total: 5,
        };
        let root = FileNode::encode(&[part]).unwrap();
        let cid = *root.cid();
        let mut batch = Batch::new();
        batch.put(root);
        batch.put(leaf);
        let _outcome = store.commit(batch).unwrap();
        let mut range = FileRange::new(cid, 0, 5);
        assert_eq!(range.next(&store).unwrap_err().code(), "E_FILE_SIZES");
        assert!(range.next(&store).unwrap().is_none());
    }
}
