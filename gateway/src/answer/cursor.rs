//! Cursor: where a reader of the outbox is, as a word that means nothing to the reader.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use engine::Cursor;

/// The version of the word, its first byte.
const VERSION: u8 = 2;
/// A word of version 1 ends before the list of notices, which is empty then.
const NO_NOTICES: u8 = 0;

/// The cursor as a word: its version, the value, and a checksum of both.
pub(crate) fn write(cursor: &Cursor) -> String {
    let mut bytes = postcard::to_extend(cursor, vec![VERSION]).expect("a cursor is plain data");
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads what [`write`] wrote; `None` for anything else.
pub(crate) fn read(word: &str) -> Option<Cursor> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(word).ok()?;
    let (bytes, checksum) = bytes.split_last_chunk::<4>()?;
    let is_whole = crc32fast::hash(bytes).to_le_bytes() == *checksum;
    let (version, value) = bytes.split_first()?;
    match *version {
        _ if !is_whole => None,
        1 => postcard::from_bytes(&[value, &[NO_NOTICES]].concat()).ok(),
        VERSION => postcard::from_bytes(value).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_that_was_kept_from_version_1_is_good() {
        let mut bytes = vec![1, 0xc0, 0x84, 0x3d, 0, 1, 7, 9];
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        let kept = read(&BASE64_URL_SAFE_NO_PAD.encode(bytes)).unwrap();
        assert_eq!(kept.listed(), 1);
    }

    #[test]
    fn a_cursor_reads_back_and_nothing_else_does() {
        let word = write(&Cursor::default());
        assert_eq!(read(&word), Some(Cursor::default()));
        for nth in 0..word.len() {
            let mut other = word.clone().into_bytes();
            other[nth] = if other[nth] == b'A' { b'B' } else { b'A' };
            assert_eq!(read(std::str::from_utf8(&other).unwrap()), None, "{nth}");
        }
        for bad in ["", "A", "AAAAAA", "?", "0"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
