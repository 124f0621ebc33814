//! CAR v1: a DAG as one file that any IPLD tool reads.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

use cid::Cid;

use crate::block::{BLOCK_BYTES_MAX, Block, BlockError, Codec, exact_cid, to_v1};
use crate::dag_pb::{self, PbError, put_varint};
use crate::store::{Batch, Store, StoreError};

/// The most roots of an archive that is read (BLOCKS-41).
const ROOTS_MAX: usize = 64;

/// The longest header that is read, in bytes: room for 64 roots (BLOCKS-41).
const HEADER_BYTES_MAX: u64 = 4096;

/// The longest CID in a section, in bytes: four varints and a 32-byte digest fit (BLOCKS-42).
const CID_BYTES_MAX: usize = 64;

/// Blocks kept at a time while reading, in bytes.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Why an archive could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CarError {
    /// The input or output failed. Blame: the environment.
    #[error("the archive could not be read or written: {0}")]
    Io(#[from] io::Error),
    /// The store failed. Blame: the environment.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A block of the DAG is not in the store.
    #[error("block {0} is missing")]
    Missing(Cid),
    /// The header is not that of a CAR v1 (BLOCKS-41). Blame: whoever made the archive.
    #[error("not a CAR v1 archive")]
    Header,
    /// A section is cut off or longer than a block may be (BLOCKS-42).
    #[error("the archive is cut off or malformed in section {section}")]
    Section {
        /// Its number, counted from 0.
        section: u64,
    },
    /// A block is not what its name says (BLOCKS-43).
    #[error("section {section}: {source}")]
    Block {
        /// Its number, counted from 0.
        section: u64,
        /// What is wrong.
        source: BlockError,
    },
    /// A block that is to be followed cannot be.
    #[error("the links of block {0} cannot be read")]
    Links(Cid),
}

impl CarError {
    /// The registered code (`specs/registry.md`).
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Io(_) => "E_IO",
            Self::Store(_) => "E_STORE",
            Self::Missing(_) => "E_BLOCK_MISSING",
            Self::Header => "E_CAR_HEADER",
            Self::Section { .. } => "E_CAR_SECTION",
            Self::Block { source, .. } => source.code(),
            Self::Links(_) => "E_CAR_LINKS",
        }
    }
}

/// What was written or read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CarInfo {
    /// The roots in the header.
    pub roots: Vec<Cid>,
    /// Sections.
    pub blocks: u64,
    /// Bytes of the archive.
    pub bytes: u64,
}

/// Writes the DAG below `root`, each block once, parents before children (BLOCKS-40).
///
/// Memory: the names of all its blocks.
pub fn export_car(
    store: &dyn Store,
    root: &Cid,
    output: &mut dyn Write,
) -> Result<CarInfo, CarError> {
    export_car_with(store, root, &[], output)
}

/// As [`export_car`], and after it the DAGs below `beside`: what blocks of the first DAG name in ways
/// that are no links, such as values inside byte strings.
pub fn export_car_with(
    store: &dyn Store,
    root: &Cid,
    beside: &[Cid],
    output: &mut dyn Write,
) -> Result<CarInfo, CarError> {
    let mut info = CarInfo {
        roots: vec![*root],
        ..CarInfo::default()
    };
    let header = encode_header(root);
    info.bytes += write_section(output, &[&header])?;
    let mut seen = BTreeSet::new();
    let mut open: Vec<Cid> = beside.iter().rev().copied().collect();
    open.push(*root);
    while let Some(cid) = open.pop() {
        if !seen.insert(cid) {
            continue;
        }
        let block = store.get(&cid)?.ok_or(CarError::Missing(cid))?;
        info.bytes += write_section(output, &[&cid.to_bytes(), block.bytes()])?;
        info.blocks += 1;
        let links = block_links(&block).map_err(|_error| CarError::Links(cid))?;
        open.extend(links.into_iter().rev());
    }
    output.flush()?;
    Ok(info)
}

/// Reads an archive into the store; every block is verified against its name (BLOCKS-43). Blocks
/// read before a fault stay, nothing refers to them.
pub fn import_car(store: &dyn Store, input: &mut dyn Read) -> Result<CarInfo, CarError> {
    let mut info = CarInfo::default();
    let length = take_length(input)?.ok_or(CarError::Header)?;
    if length.value > HEADER_BYTES_MAX {
        return Err(CarError::Header);
    }
    let header = take(input, length.value).map_err(|_error| CarError::Header)?;
    info.roots = decode_header(&header).ok_or(CarError::Header)?;
    info.bytes += length.width + length.value;
    let mut batch = Batch::new();
    let mut pending = 0;
    while let Some(length) = take_length(input).map_err(|error| match error {
        CarError::Header => CarError::Section {
            section: info.blocks,
        },
        error => error,
    })? {
        let section = info.blocks;
        if length.value > (BLOCK_BYTES_MAX + CID_BYTES_MAX) as u64 {
            return Err(CarError::Section { section });
        }
        let bytes = take(input, length.value).map_err(|_error| CarError::Section { section })?;
        let mut rest = &bytes[..];
        let cid = Cid::read_bytes(&mut rest).map_err(|_error| CarError::Section { section })?;
        let content = rest.to_vec();
        let block =
            Block::verify(cid, content).map_err(|source| CarError::Block { section, source })?;
        pending += block.bytes().len();
        batch.put(block);
        if pending >= BATCH_BYTES {
            let _outcome = store.commit(std::mem::take(&mut batch))?;
            pending = 0;
        }
        info.bytes += length.width + length.value;
        info.blocks += 1;
    }
    let _outcome = store.commit(batch)?;
    Ok(info)
}

/// The names that a block links to, by its codec.
///
/// DAG-CBOR is scanned for tag 42 without judging the rest of it.
pub fn block_links(block: &Block) -> Result<Vec<Cid>, PbError> {
    match Codec::from_code(block.cid().codec()) {
        Some(Codec::DagPb) => dag_pb::links(block.bytes()),
        Some(Codec::DagCbor) => cbor_links(block.bytes()).ok_or(PbError::Malformed),
        _ => Ok(Vec::new()),
    }
}

/// The links of DAG-CBOR, in the order in which they stand; `None` for what is none.
#[must_use]
pub fn cbor_links(bytes: &[u8]) -> Option<Vec<Cid>> {
    let mut links = Vec::new();
    let mut rest = bytes;
    // Items still to be read; every item takes at least a byte, so the loop is bounded.
    let mut open = 1u64;
    let mut tagged = false;
    while open > 0 {
        open -= 1;
        let (&first, after) = rest.split_first()?;
        rest = after;
        let width = match first & 0x1f {
            0..24 => 0,
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            _ => return None,
        };
        let (argument, after) = rest.split_at_checked(width)?;
        rest = after;
        let argument = match width {
            0 => u64::from(first & 0x1f),
            _ => argument
                .iter()
                .fold(0, |value, &byte| (value << 8) | u64::from(byte)),
        };
        match first >> 5 {
            2 | 3 => {
                let (content, after) = rest.split_at_checked(usize::try_from(argument).ok()?)?;
                rest = after;
                if tagged {
                    links.push(to_v1(exact_cid(content.strip_prefix(&[0])?)?));
                }
            }
            4 => open = open.checked_add(argument)?,
            5 => open = open.checked_add(argument.checked_mul(2)?)?,
            6 => open += 1,
            _ => {}
        }
        tagged = first >> 5 == 6 && argument == 42;
    }
    rest.is_empty().then_some(links)
}

struct Length {
    value: u64,
    width: u64,
}

/// The length of the next section; `None` at the end of the input.
fn take_length(input: &mut dyn Read) -> Result<Option<Length>, CarError> {
    let mut bytes = Vec::with_capacity(10);
    loop {
        let mut byte = [0];
        match input.read(&mut byte) {
            Ok(0) if bytes.is_empty() => return Ok(None),
            Ok(0) => return Err(CarError::Header),
            Ok(_) => bytes.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
        if byte[0] & 0x80 == 0 || bytes.len() == 10 {
            let value = dag_pb::take_varint(&mut &bytes[..]).map_err(|_error| CarError::Header)?;
            return Ok(Some(Length {
                value,
                width: bytes.len() as u64,
            }));
        }
    }
}

fn take(input: &mut dyn Read, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if input.take(length).read_to_end(&mut bytes)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

fn write_section(output: &mut dyn Write, parts: &[&[u8]]) -> Result<u64, CarError> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut head = Vec::with_capacity(10);
    put_varint(&mut head, length as u64);
    output.write_all(&head)?;
    for part in parts {
        output.write_all(part)?;
    }
    Ok((head.len() + length) as u64)
}

/// `{"roots": [root], "version": 1}` in DAG-CBOR.
fn encode_header(root: &Cid) -> Vec<u8> {
    let cid = root.to_bytes();
    let mut header = vec![0xa2, 0x65];
    header.extend_from_slice(b"roots");
    header.extend_from_slice(&[0x81, 0xd8, 0x2a, 0x58]);
    // A CID of a block has at most 64 bytes; with the zero byte before it, one length byte does.
    header.push(u8::try_from(cid.len() + 1).unwrap_or(u8::MAX));
    header.push(0);
    header.extend_from_slice(&cid);
    header.push(0x67);
    header.extend_from_slice(b"version");
    header.push(1);
    header
}

/// The roots: a list of links and nothing else.
fn decode_header(header: &[u8]) -> Option<Vec<Cid>> {
    let roots = header.strip_prefix(b"\xa2\x65roots")?;
    let (&head, mut rest) = roots.strip_suffix(b"\x67version\x01")?.split_first()?;
    let count = match head {
        0x80..0x98 => head - 0x80,
        0x98 => {
            let (&count, after) = rest.split_first()?;
            rest = after;
            count
        }
        _ => return None,
    };
    if usize::from(count) > ROOTS_MAX {
        return None;
    }
    let mut links = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let (&length, after) = rest.strip_prefix(&[0xd8, 0x2a, 0x58])?.split_first()?;
        let (link, after) = after.split_at_checked(usize::from(length))?;
        links.push(to_v1(exact_cid(link.strip_prefix(&[0])?)?));
        rest = after;
    }
    rest.is_empty().then_some(links)
}
