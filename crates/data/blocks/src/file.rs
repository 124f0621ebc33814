//! Files: cut into blocks the way the IPFS tools cut them, and put together again, in constant
//! memory.

use std::io::{self, Read, Write};

use cid::Cid;

use crate::block::{BLOCK_BYTES_MAX, Block, BlockError, Codec};
use crate::dag_pb::{FileNode, Part, PbError};
use crate::store::{Batch, Store, StoreError};

/// The deepest index that is read (BLOCKS-33): 1,024 links a node reach 2^60 bytes in four levels.
pub const FILE_DEPTH_MAX: usize = 16;

/// Blocks handed to the store at a time, in bytes: one fsync for several chunks, and little memory.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// How files are cut (BLOCKS-30).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FileProfile {
    /// Bytes of a leaf, but for the last.
    pub chunk_bytes: usize,
    /// Links of an index node, but for the last of a level. At least 2.
    pub links: usize,
}

impl FileProfile {
    /// `unixfs-v1-2025`: CIDv1, sha2-256, raw leaves of 1 MiB, balanced, 1,024 links.
    pub const UNIXFS_V1_2025: Self = Self {
        chunk_bytes: 1024 * 1024,
        links: 1024,
    };
}

/// A file that was added.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FileInfo {
    /// The name of its root: a raw block if it is one chunk, else a DAG-PB block.
    pub cid: Cid,
    /// Its size in bytes.
    pub size: u64,
}

/// Why a file could not be added or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The input or output failed. Blame: the environment.
    #[error("the file could not be read or written: {0}")]
    Io(#[from] io::Error),
    /// The store failed. Blame: the environment.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A part is not in the store.
    #[error("block {0} of the file is missing")]
    Missing(Cid),
    /// A part is not what a file is made of (BLOCKS-31 to BLOCKS-33). Blame: whoever made the file.
    #[error("block {cid}: {source}")]
    Index {
        /// The part.
        cid: Cid,
        /// What is wrong with it.
        source: PbError,
    },
    /// The index is deeper than any file needs (BLOCKS-33).
    #[error("the file's index is nested too deeply")]
    TooDeep,
    /// The name is not that of a file.
    #[error("{0} is not the name of a file")]
    NotAFile(Cid),
    /// A chunk exceeds the size of a block. Blame: the caller's profile.
    #[error(transparent)]
    Block(#[from] BlockError),
}

impl FileError {
    /// The registered code (`specs/registry.md`).
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Io(_) => "E_IO",
            Self::Store(_) => "E_STORE",
            Self::Missing(_) => "E_BLOCK_MISSING",
            Self::Index { source, .. } => source.code(),
            Self::TooDeep => "E_FILE_DEPTH",
            Self::NotAFile(_) => "E_FILE_KIND",
            Self::Block(error) => error.code(),
        }
    }
}

/// Cuts what `input` gives into blocks and keeps them (BLOCKS-30). Durable when it returns.
///
/// Memory: one chunk, the blocks of a batch (about 4 MiB), and 1,024 links a level.
/// `progress` hears of the bytes read so far.
pub fn add_file(
    store: &dyn Store,
    profile: FileProfile,
    input: &mut dyn Read,
    progress: &mut dyn FnMut(u64),
) -> Result<FileInfo, FileError> {
    let mut builder = Builder {
        store,
        profile,
        levels: Vec::new(),
        batch: Batch::new(),
        pending: 0,
    };
    let mut size = 0;
    loop {
        let chunk = read_chunk(input, profile.chunk_bytes)?;
        let length = chunk.len();
        // An empty file is one empty chunk; a file that ends with a chunk has no empty one after.
        if length > 0 || size == 0 {
            let block = Block::new(Codec::Raw, chunk)?;
            let part = Part {
                cid: *block.cid(),
                content: length as u64,
                total: length as u64,
            };
            builder.keep(block)?;
            builder.push(0, part)?;
        }
        size += length as u64;
        progress(size);
        if length < profile.chunk_bytes {
            return Ok(FileInfo {
                cid: builder.finish()?,
                size,
            });
        }
    }
}

fn read_chunk(input: &mut dyn Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut chunk = Vec::with_capacity(limit.min(BLOCK_BYTES_MAX));
    input.take(limit as u64).read_to_end(&mut chunk)?;
    Ok(chunk)
}

struct Builder<'a> {
    store: &'a dyn Store,
    profile: FileProfile,
    /// Parts that wait for an index node, by level.
    levels: Vec<Vec<Part>>,
    batch: Batch,
    pending: usize,
}

impl Builder<'_> {
    fn keep(&mut self, block: Block) -> Result<(), FileError> {
        self.pending += block.bytes().len();
        self.batch.put(block);
        if self.pending >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), FileError> {
        let _outcome = self.store.commit(std::mem::take(&mut self.batch))?;
        self.pending = 0;
        Ok(())
    }

    fn push(&mut self, level: usize, part: Part) -> Result<(), FileError> {
        // A full node is closed only when another part follows: if none does, it may be the root.
        if self
            .levels
            .get(level)
            .is_some_and(|parts| parts.len() == self.profile.links)
        {
            self.close(level)?;
        }
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        self.levels[level].push(part);
        Ok(())
    }

    fn close(&mut self, level: usize) -> Result<(), FileError> {
        let parts = std::mem::take(&mut self.levels[level]);
        let block = FileNode::encode(&parts)?;
        let part = Part {
            cid: *block.cid(),
            content: parts.iter().map(|part| part.content).sum(),
            total: parts.iter().map(|part| part.total).sum::<u64>() + block.bytes().len() as u64,
        };
        self.keep(block)?;
        self.push(level + 1, part)
    }

    fn finish(mut self) -> Result<Cid, FileError> {
        let mut level = 0;
        loop {
            let top = level + 1 == self.levels.len();
            if let ([root], true) = (&self.levels[level][..], top) {
                let cid = root.cid;
                self.flush()?;
                return Ok(cid);
            }
            self.close(level)?;
            level += 1;
        }
    }
}

/// The size of a file in bytes.
pub fn file_size(store: &dyn Store, cid: &Cid) -> Result<u64, FileError> {
    let block = store.get(cid)?.ok_or(FileError::Missing(*cid))?;
    match Codec::from_code(cid.codec()) {
        Some(Codec::Raw) => Ok(block.bytes().len() as u64),
        Some(Codec::DagPb) => Ok(decode(&block)?.content()),
        _ => Err(FileError::NotAFile(*cid)),
    }
}

/// Writes a file's content to `output`; returns its size in bytes. Every part is verified against
/// its name and its stated size before it is written.
///
/// Memory: one chunk and the index nodes of one path.
pub fn read_file(store: &dyn Store, cid: &Cid, output: &mut dyn Write) -> Result<u64, FileError> {
    // Parts still to be written, the next one last; each with its depth and its stated size.
    let mut open: Vec<(Cid, usize, Option<u64>)> = vec![(*cid, 0, None)];
    let mut written = 0;
    while let Some((cid, depth, stated)) = open.pop() {
        let block = store.get(&cid)?.ok_or(FileError::Missing(cid))?;
        let sizes = FileError::Index {
            cid,
            source: PbError::Sizes,
        };
        match Codec::from_code(cid.codec()) {
            Some(Codec::Raw) => {
                if stated.is_some_and(|stated| stated != block.bytes().len() as u64) {
                    return Err(sizes);
                }
                output.write_all(block.bytes())?;
                written += block.bytes().len() as u64;
            }
            Some(Codec::DagPb) => {
                if depth >= FILE_DEPTH_MAX {
                    return Err(FileError::TooDeep);
                }
                let node = decode(&block)?;
                if stated.is_some_and(|stated| stated != node.content()) {
                    return Err(sizes);
                }
                output.write_all(&node.inline)?;
                written += node.inline.len() as u64;
                let parts = node.parts.iter().rev();
                open.extend(parts.map(|part| (part.cid, depth + 1, Some(part.content))));
            }
            _ => return Err(FileError::NotAFile(cid)),
        }
    }
    Ok(written)
}

/// The parts that a block of a file links to: none for a raw block.
pub fn file_links(block: &Block) -> Result<Vec<Cid>, FileError> {
    match Codec::from_code(block.cid().codec()) {
        Some(Codec::Raw) => Ok(Vec::new()),
        Some(Codec::DagPb) => Ok(decode(block)?
            .parts
            .into_iter()
            .map(|part| part.cid)
            .collect()),
        _ => Err(FileError::NotAFile(*block.cid())),
    }
}

/// What an index of a file states.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileIndex {
    /// Bytes of content at and below it.
    pub size: u64,
    /// Its parts in order, each with the bytes of content at and below it; none has 0.
    pub parts: Vec<(Cid, u64)>,
}

/// What a DAG-PB block states of the file that it is an index of. Whether its parts are what it says is seen
/// where they are read.
pub fn file_index(block: &Block) -> Result<FileIndex, FileError> {
    if Codec::from_code(block.cid().codec()) != Some(Codec::DagPb) {
        return Err(FileError::NotAFile(*block.cid()));
    }
    let node = decode(block)?;
    Ok(FileIndex {
        size: node.content(),
        parts: node
            .parts
            .iter()
            .map(|part| (part.cid, part.content))
            .collect(),
    })
}

fn decode(block: &Block) -> Result<FileNode, FileError> {
    FileNode::decode(block).map_err(|source| FileError::Index {
        cid: *block.cid(),
        source,
    })
}
