//! How much a change makes, before it is made: its columns say in a few bytes that something comes any
//! number of times.

use crate::document::take_length;

/// The most operations of a document that are read: what a state of letters, each written by itself, has.
pub(super) const OPERATIONS_MAX: u64 = 1_000_000;

/// The most bytes of texts of one column, repeated as often as it says.
const TEXT_BYTES_MAX: u64 = 64 << 20;

/// Bits of a column's specification: its type, and whether it is compressed.
const TYPE: u64 = 0b0111;
const DEFLATE: u64 = 0b1000;

/// How many operations a change has at most, or how much they refer to; None if the chunk is not sound or
/// that is too much.
pub(super) fn weigh(chunk: &[u8]) -> Option<u64> {
    // Magic number, four bytes of the hash, the type.
    let (length, content) = take_length(chunk.get(9..)?)?;
    let content = content.get(..usize::try_from(length).ok()?)?;
    let mut reader = Reader(content);
    let deps = reader.number()?;
    reader.skip(deps.checked_mul(32)?)?;
    reader.sized()?;
    // Its number, its first operation, its time, its message.
    reader.number()?;
    reader.number()?;
    reader.signed()?;
    reader.sized()?;
    for _ in 0..reader.number()? {
        reader.sized()?;
    }
    let mut columns = Vec::new();
    for _ in 0..reader.number()? {
        columns.push((reader.number()?, reader.number()?));
    }
    let mut most = 1;
    for (specification, size) in columns {
        if specification & DEFLATE != 0 {
            return None;
        }
        let mut column = Reader(reader.skip(size)?);
        most = most.max(match specification & TYPE {
            0 => column.runs(Reader::number, |count| count)?,
            1 | 2 | 6 => column.runs(Reader::number, |_| 0)?,
            3 => column.runs(Reader::signed, |_| 0)?,
            4 => column.booleans()?,
            5 => column.texts()?,
            // Bytes, of which the column before says how many.
            _ => 0,
        });
    }
    (most <= OPERATIONS_MAX).then_some(most)
}

/// Bytes that are taken from the front.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u64> {
        // Ten bytes have the largest number; whatever is beyond that is no number here.
        let (number, rest) = take_any(self.0)?;
        self.0 = rest;
        u64::try_from(number).ok()
    }

    fn signed(&mut self) -> Option<i64> {
        let size = self.0.len();
        let (number, rest) = take_any(self.0)?;
        let bits = 7 * u32::try_from(size - rest.len()).ok()?;
        self.0 = rest;
        // The uppermost bit that was read is the sign.
        let unused = 128_u32.checked_sub(bits)?;
        i64::try_from((number << unused).cast_signed() >> unused).ok()
    }

    fn skip(&mut self, size: u64) -> Option<&'a [u8]> {
        let (skipped, rest) = self.0.split_at_checked(usize::try_from(size).ok()?)?;
        self.0 = rest;
        Some(skipped)
    }

    fn sized(&mut self) -> Option<&'a [u8]> {
        let size = self.number()?;
        self.skip(size)
    }

    /// How many values a column has in runs, or what they add up to if that is more.
    fn runs<T: Copy>(
        &mut self,
        value: fn(&mut Self) -> Option<T>,
        worth: fn(T) -> u64,
    ) -> Option<u64> {
        let (mut count, mut sum) = (0_u64, 0_u64);
        while !self.0.is_empty() {
            let run = self.signed()?;
            let times = match run {
                0 => self.number()?,
                1.. => {
                    let value = value(self)?;
                    sum = sum.saturating_add(worth(value).saturating_mul(run.unsigned_abs()));
                    run.unsigned_abs()
                }
                _ => {
                    // Each takes a byte, so that this ends with the bytes.
                    for _ in 0..run.unsigned_abs() {
                        sum = sum.saturating_add(worth(value(self)?));
                    }
                    run.unsigned_abs()
                }
            };
            count = count.saturating_add(times);
        }
        Some(count.max(sum))
    }

    /// How many texts a column has, if they are not too long together.
    fn texts(&mut self) -> Option<u64> {
        let all = *self;
        let size = |reader: &mut Self| Some(reader.sized()?.len() as u64);
        let bytes = self.runs(size, |size| size)?;
        let mut again = all;
        let count = again.runs(size, |_| 0)?;
        (bytes <= TEXT_BYTES_MAX.max(count)).then_some(count)
    }

    /// How many truths a column has: runs of false and true by turns.
    fn booleans(&mut self) -> Option<u64> {
        let mut count = 0_u64;
        while !self.0.is_empty() {
            count = count.saturating_add(self.number()?);
        }
        Some(count)
    }
}

/// A number in LEB128 of up to ten bytes.
fn take_any(bytes: &[u8]) -> Option<(u128, &[u8])> {
    let size = bytes.iter().take_while(|byte| **byte >= 0x80).count() + 1;
    if size > 10 {
        return None;
    }
    let (digits, rest) = bytes.split_at_checked(size)?;
    let digits = digits.iter().rev();
    let number = digits.fold(0, |number, byte| (number << 7) | u128::from(byte & 0x7f));
    Some((number, rest))
}
