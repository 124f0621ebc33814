//! The content of a blob: bytes that no compression shortens, the same in each run.

use std::io::{Read, Write};

/// What a blob of so many bytes has in it, as a stream. The bytes do not depend on the sizes of reads.
pub(crate) struct Content {
    state: u64,
    /// Bytes of the state that were not given yet.
    spare: usize,
    left: u64,
}

impl Content {
    pub(crate) const fn new(bytes: u64) -> Self {
        Self {
            state: 0x9e37_79b9_7f4a_7c15,
            spare: 0,
            left: bytes,
        }
    }

    fn next(&mut self) -> [u8; 8] {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state.to_le_bytes()
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let (spare, rest) = buffer[..length].split_at_mut(self.spare.min(length));
        let word = self.state.to_le_bytes();
        spare.copy_from_slice(&word[8 - self.spare..][..spare.len()]);
        self.spare -= spare.len();
        let mut words = rest.chunks_exact_mut(8);
        for word in &mut words {
            word.copy_from_slice(&self.next());
        }
        let end = words.into_remainder();
        if !end.is_empty() {
            let word = self.next();
            end.copy_from_slice(&word[..end.len()]);
            self.spare = 8 - end.len();
        }
        self.left -= length as u64;
        Ok(length)
    }
}

/// Hashes what is written to it.
#[derive(Default)]
pub(crate) struct Hashing(blake3::Hasher);

impl Hashing {
    pub(crate) fn hash(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The hash of a blob of so many bytes.
pub(crate) fn hash(bytes: u64) -> String {
    let mut hashing = Hashing::default();
    std::io::copy(&mut Content::new(bytes), &mut hashing).expect("reads");
    hashing.hash()
}
