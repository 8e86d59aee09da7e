//! Block: what one group of transactions wrote, framed so that a block that is torn, changed or
//! missing is noticed.
//!
//! ```text
//! length 4 | checksum of the payload 4 | number 8 | written at, ms 8 | format 2 | "FL" | checksum of this head 4
//! payload, then 1 to 32 bytes of 0xff up to a multiple of 32
//! ```
//!
//! A head never lies across two sectors of a disk, no sector of a whole block is all zeros, and its
//! last byte is not zero. So a block that was torn (its file ends too early, or a sector or the end of
//! it was never written) can be told from one that was written and has changed since.

use crate::rules::time::Millis;
use crate::store::planted::is_planted;

/// The version of all that is written here. A reader takes this one and those before it.
pub(super) const FORMAT: u16 = 5;

pub(super) const HEAD: usize = 32;
const SECTOR: usize = 512;
const MAGIC: &[u8; 2] = b"FL";
const FILLER: u8 = 0xff;

/// A block that was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block<'a> {
    pub(super) number: u64,
    pub(super) payload: &'a [u8],
    /// The block as it stands on disk.
    pub(super) bytes: &'a [u8],
}

/// Why no block can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bad {
    /// It was never written whole.
    Torn,
    /// It was written and is not what was written.
    Changed(String),
    /// A later version wrote it.
    Newer(u16),
}

/// Makes room for a block's head at the end of `bytes`, where its payload is written next.
pub(super) fn begin(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len() + HEAD, 0);
}

/// Ends the block that began at `start`.
pub(super) fn seal(bytes: &mut Vec<u8>, start: usize, number: u64, written_at: Millis) {
    let payload = &bytes[start + HEAD..];
    let length = u32::try_from(payload.len()).expect("a block is far below 4 GiB");
    let checksum = crc32fast::hash(payload);
    let whole = (bytes.len() - start + 1).next_multiple_of(HEAD);
    bytes.resize(start + whole, FILLER);
    let head = &mut bytes[start..start + HEAD];
    head[0..4].copy_from_slice(&length.to_le_bytes());
    head[4..8].copy_from_slice(&checksum.to_le_bytes());
    head[8..16].copy_from_slice(&number.to_le_bytes());
    head[16..24].copy_from_slice(&written_at.0.to_le_bytes());
    head[24..26].copy_from_slice(&FORMAT.to_le_bytes());
    head[26..28].copy_from_slice(MAGIC);
    let checksum = crc32fast::hash(&head[..28]);
    head[28..32].copy_from_slice(&checksum.to_le_bytes());
}

/// What a block's head says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    length: usize,
    checksum: u32,
    pub(super) number: u64,
    pub(super) written_at: Millis,
    format: u16,
}

impl Head {
    /// Reads a head; `None` if it is not what was written.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..HEAD)?;
        let four = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("4 bytes"));
        let eight = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("8 bytes"));
        let is_whole = four(28) == crc32fast::hash(&head[..28]) && &head[26..28] == MAGIC;
        is_whole.then(|| Self {
            length: four(0) as usize,
            checksum: four(4),
            number: eight(8),
            written_at: Millis(eight(16)),
            format: u16::from_le_bytes([head[24], head[25]]),
        })
    }

    /// Bytes of the whole block on disk.
    pub(super) fn size(&self) -> usize {
        (HEAD + self.length + 1).next_multiple_of(HEAD)
    }
}

/// Reads the block at `at`, a multiple of 32. `None` at the end of the bytes.
pub(super) fn read(bytes: &[u8], at: usize) -> Result<Option<Block<'_>>, Bad> {
    let rest = &bytes[at..];
    if rest.is_empty() {
        return Ok(None);
    }
    let Some(head) = Head::read(rest) else {
        // Zeros where a head should be: its sector was never written.
        let is_torn = rest.len() < HEAD || rest[..HEAD].iter().all(|byte| *byte == 0);
        return Err(if is_torn { Bad::Torn } else { Bad::Changed("its head".into()) });
    };
    if head.format > FORMAT {
        return Err(Bad::Newer(head.format));
    }
    let Some(whole) = rest.get(..head.size()) else { return Err(Bad::Torn) };
    if is_planted("torn-for-whole") {
        let (number, payload) = (head.number, &whole[HEAD..HEAD + head.length]);
        return Ok(Some(Block { number, payload, bytes: whole }));
    }
    let (payload, filler) = whole[HEAD..].split_at(head.length);
    if crc32fast::hash(payload) == head.checksum && filler.iter().all(|byte| *byte == FILLER) {
        return Ok(Some(Block { number: head.number, payload, bytes: whole }));
    }
    let mut sectors = (0..whole.len()).filter(|i| (at + i).is_multiple_of(SECTOR));
    let is_torn = whole.ends_with(&[0])
        || sectors.any(|from| {
            let to = whole.len().min(from + SECTOR);
            whole[from..to].iter().all(|byte| *byte == 0)
        });
    Err(if is_torn { Bad::Torn } else { Bad::Changed("its content".into()) })
}

/// The number of a block that begins somewhere behind `at` and is higher than `number`.
pub(super) fn any_later(bytes: &[u8], at: usize, number: u64) -> Option<u64> {
    let heads = (at.next_multiple_of(HEAD)..bytes.len()).step_by(HEAD);
    let mut heads = heads.filter_map(|at| Head::read(&bytes[at..]));
    heads.find(|head| head.number > number).map(|head| head.number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: u64, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        begin(&mut bytes);
        bytes.extend_from_slice(payload);
        seal(&mut bytes, 0, number, Millis(5));
        bytes
    }

    #[test]
    fn a_block_reads_back_and_ends_on_a_multiple_of_its_head() {
        for len in [0, 1, 30, 31, 32, 33, 1_000] {
            let payload = vec![7; len];
            let bytes = block(3, &payload);
            assert!(bytes.len().is_multiple_of(HEAD), "{len}");
            let read = read(&bytes, 0).unwrap().unwrap();
            assert_eq!(
                (read.number, read.payload, read.bytes.len()),
                (3, &payload[..], bytes.len())
            );
        }
    }

    #[test]
    fn a_flipped_bit_is_never_taken_for_a_torn_block() {
        let bytes = block(3, &(0..=u8::MAX).cycle().take(1_500).collect::<Vec<_>>());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let read = read(&flipped, 0);
            assert!(matches!(read, Err(Bad::Changed(_))), "bit {bit}: {read:?}");
        }
    }

    #[test]
    fn a_block_that_was_not_written_whole_is_torn() {
        let bytes = block(3, &[7; 1_500]);
        for end in 1..bytes.len() {
            assert!(matches!(read(&bytes[..end], 0), Err(Bad::Torn)), "cut off at {end}");
        }
        for sector in 0..bytes.len().div_ceil(SECTOR) {
            let mut torn = bytes.clone();
            let end = torn.len().min((sector + 1) * SECTOR);
            torn[sector * SECTOR..end].fill(0);
            assert!(matches!(read(&torn, 0), Err(Bad::Torn)), "sector {sector}");
        }
        for end in 0..bytes.len() {
            let mut torn = bytes.clone();
            torn[end..].fill(0);
            let read = read(&torn, 0);
            assert!(matches!(read, Err(Bad::Torn)) || (1..HEAD).contains(&end), "zeros from {end}");
        }
    }

    #[test]
    fn a_block_of_a_newer_version_is_named_as_that() {
        let mut bytes = block(3, b"x");
        let newer = FORMAT + 1;
        bytes[24..26].copy_from_slice(&newer.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..28]);
        bytes[28..32].copy_from_slice(&checksum.to_le_bytes());
        assert!(matches!(read(&bytes, 0), Err(Bad::Newer(format)) if format == newer));
    }
}
