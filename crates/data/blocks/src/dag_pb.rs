//! DAG-PB nodes that carry UnixFS files: the IPFS tools' index of a file, read and written strictly.

use cid::Cid;

use crate::block::{Block, BlockError, Codec, exact_cid, to_v1};

/// The most links a node may have when it is read (BLOCKS-33): the IPFS tools make 174 or 1,024.
const LINKS_MAX: usize = 8192;

/// Why a block is not the index of a file. Blame: whoever made the block.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PbError {
    /// The protobuf encoding is broken.
    #[error("the file's index is malformed")]
    Malformed,
    /// A link is not a CID of a kind that files are made of.
    #[error("a link of the file's index is not a block's name")]
    BadLink,
    /// More than 8,192 links.
    #[error("the file's index has too many links")]
    TooManyLinks,
    /// The node is a directory, a symlink or another kind that is not a file.
    #[error("the block is not a file")]
    NotAFile,
    /// The sizes it states do not add up, or a part is stated to be empty.
    #[error("the sizes in the file's index do not add up")]
    Sizes,
}

impl PbError {
    /// The registered code (`specs/registry.md`).
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "E_FILE_MALFORMED",
            Self::BadLink => "E_FILE_LINK",
            Self::TooManyLinks => "E_FILE_LINKS",
            Self::NotAFile => "E_FILE_KIND",
            Self::Sizes => "E_FILE_SIZES",
        }
    }
}

/// A part of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Part {
    pub(crate) cid: Cid,
    /// Bytes of file content below it.
    pub(crate) content: u64,
    /// Bytes of all blocks below it, its own included (PBLink.Tsize).
    pub(crate) total: u64,
}

/// An index node of a file: inline content first, then parts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct FileNode {
    pub(crate) inline: Vec<u8>,
    pub(crate) parts: Vec<Part>,
}

const WIRE_VARINT: u64 = 0;
const WIRE_BYTES: u64 = 2;
const UNIXFS_RAW: u64 = 0;
const UNIXFS_FILE: u64 = 2;

impl FileNode {
    /// Bytes of file content at and below the node.
    pub(crate) fn content(&self) -> u64 {
        self.parts
            .iter()
            .fold(self.inline.len() as u64, |sum, part| {
                sum.saturating_add(part.content)
            })
    }

    /// The block of an index node without inline content.
    pub(crate) fn encode(parts: &[Part]) -> Result<Block, BlockError> {
        let mut out = Vec::with_capacity(parts.len() * 52);
        for part in parts {
            let mut link = Vec::with_capacity(50);
            put_bytes(&mut link, 1, &part.cid.to_bytes());
            put_bytes(&mut link, 2, b"");
            put_varint_field(&mut link, 3, part.total);
            put_bytes(&mut out, 2, &link);
        }
        let mut data = Vec::new();
        put_varint_field(&mut data, 1, UNIXFS_FILE);
        put_varint_field(&mut data, 3, parts.iter().map(|part| part.content).sum());
        for part in parts {
            put_varint_field(&mut data, 4, part.content);
        }
        put_bytes(&mut out, 1, &data);
        Block::new(Codec::DagPb, out)
    }

    pub(crate) fn decode(block: &Block) -> Result<Self, PbError> {
        let mut links = Vec::new();
        let mut data = None;
        let mut rest = &block.bytes()[..];
        while !rest.is_empty() {
            match take_field(&mut rest)? {
                (2, Field::Bytes(link)) if data.is_none() => {
                    if links.len() >= LINKS_MAX {
                        return Err(PbError::TooManyLinks);
                    }
                    links.push(decode_link(link)?);
                }
                (1, Field::Bytes(bytes)) if data.is_none() => data = Some(bytes),
                _ => return Err(PbError::Malformed),
            }
        }
        let (inline, sizes) = decode_unixfs(data.ok_or(PbError::NotAFile)?)?;
        if sizes.len() != links.len() {
            return Err(PbError::Sizes);
        }
        let parts = links.into_iter().zip(sizes);
        let parts = parts
            .map(|((cid, total), content)| Part {
                cid,
                content,
                total,
            })
            .collect();
        Ok(Self { inline, parts })
    }
}

/// The names that a DAG-PB block links to, whatever it is for.
pub(crate) fn links(bytes: &[u8]) -> Result<Vec<Cid>, PbError> {
    let mut links = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        if let (2, Field::Bytes(link)) = take_field(&mut rest)? {
            if links.len() >= LINKS_MAX {
                return Err(PbError::TooManyLinks);
            }
            links.push(decode_link(link)?.0);
        }
    }
    Ok(links)
}

fn decode_link(mut rest: &[u8]) -> Result<(Cid, u64), PbError> {
    let mut cid = None;
    let mut total = 0;
    while !rest.is_empty() {
        match take_field(&mut rest)? {
            (1, Field::Bytes(bytes)) => {
                let v1 = to_v1(exact_cid(bytes).ok_or(PbError::BadLink)?);
                let codec = Codec::from_code(v1.codec());
                if !matches!(codec, Some(Codec::Raw | Codec::DagPb)) {
                    return Err(PbError::BadLink);
                }
                cid = Some(v1);
            }
            (2, Field::Bytes(_name)) => {}
            (3, Field::Varint(size)) => total = size,
            _ => return Err(PbError::Malformed),
        }
    }
    Ok((cid.ok_or(PbError::BadLink)?, total))
}

fn decode_unixfs(mut rest: &[u8]) -> Result<(Vec<u8>, Vec<u64>), PbError> {
    let mut kind = None;
    let mut inline = Vec::new();
    let mut file_size = None;
    let mut sizes = Vec::new();
    while !rest.is_empty() {
        match take_field(&mut rest)? {
            (1, Field::Varint(value)) => kind = Some(value),
            (2, Field::Bytes(bytes)) => inline = bytes.to_vec(),
            (3, Field::Varint(value)) => file_size = Some(value),
            (4, Field::Varint(value)) if sizes.len() < LINKS_MAX => sizes.push(value),
            // Mode and time of modification say nothing about the content.
            (7 | 8, _) => {}
            _ => return Err(PbError::Malformed),
        }
    }
    if !matches!(kind, Some(UNIXFS_FILE | UNIXFS_RAW)) {
        return Err(PbError::NotAFile);
    }
    let sum = sizes
        .iter()
        .try_fold(inline.len() as u64, |sum, size| sum.checked_add(*size))
        .ok_or(PbError::Sizes)?;
    // Empty parts would let a few blocks make a reader walk for ever (BLOCKS-33).
    if file_size.is_some_and(|stated| stated != sum) || sizes.contains(&0) {
        return Err(PbError::Sizes);
    }
    Ok((inline, sizes))
}

enum Field<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
}

fn take_field<'a>(rest: &mut &'a [u8]) -> Result<(u64, Field<'a>), PbError> {
    let tag = take_varint(rest)?;
    let field = match tag & 7 {
        WIRE_VARINT => Field::Varint(take_varint(rest)?),
        WIRE_BYTES => {
            let length =
                usize::try_from(take_varint(rest)?).map_err(|_error| PbError::Malformed)?;
            let (bytes, after) = rest.split_at_checked(length).ok_or(PbError::Malformed)?;
            *rest = after;
            Field::Bytes(bytes)
        }
        // 32 and 64 bit fields: only the time of modification has one, inside its own message.
        _ => return Err(PbError::Malformed),
    };
    Ok((tag >> 3, field))
}

/// A varint of at most ten bytes.
pub(crate) fn take_varint(rest: &mut &[u8]) -> Result<u64, PbError> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first().ok_or(PbError::Malformed)?;
        *rest = after;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return Err(PbError::Malformed);
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(PbError::Malformed)
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

fn put_varint_field(out: &mut Vec<u8>, field: u64, value: u64) {
    put_varint(out, field << 3 | WIRE_VARINT);
    put_varint(out, value);
}

fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | WIRE_BYTES);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
