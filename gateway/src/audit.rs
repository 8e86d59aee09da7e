//! The audit log: who of the operators did what. It is a file that only grows, an entry a line in JSON;
//! each line is on disk before what it tells of is done, or answered.
//!
//! An entry names a member by a number. The member's name stands once, in a file of its own, so that
//! erasing it there leaves no entry that names the member.

use anyhow::{Context, ensure};
use engine::clock::Clock;
use engine::rules::time::Millis;
use membership::MemberId;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The longest line: terms before and after, and room.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// What operators do that the log tells of.
pub(crate) const ACTIONS: [&str; 19] = [
    "adjust_member",
    "issue_coupon",
    "change_plan",
    "export_member",
    "erase_member",
    "create_sale",
    "change_sale",
    "pause_sale",
    "resume_sale",
    "close_sale",
    "add_stock",
    "delete_sale",
    "rehearse_sale",
    "end_rehearsal",
    "back_up",
    "check_in",
    "block_member",
    "unblock_member",
    "read_again",
];

/// Stands for a name that was taken away; no member id has brackets.
const GONE: &str = "(erased)";

/// What one entry says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// From 1, without gaps.
    pub(crate) id: u64,
    /// In milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// Whose key it was.
    pub(crate) by: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) role: Option<String>,
    /// The address that the call came from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) request_id: Option<String>,
    pub(crate) action: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) sale: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) member_number: Option<u64>,
    /// `asked`, `done` or `failed`.
    pub(crate) state: String,
    /// Of `done` and `failed`: the entry that says what was asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) of: Option<u64>,
    /// Of `failed`: why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) before: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) after: Option<Value>,
}

/// The files of the log.
#[derive(Debug)]
pub(crate) struct AuditLog {
    file: PathBuf,
    names: PathBuf,
    end: Mutex<End>,
}

/// Where the log ends.
#[derive(Debug)]
struct End {
    file: File,
    bytes: u64,
    last_id: u64,
}

impl AuditLog {
    /// Opens the log in this folder, or makes it. A line that a crash cut off is taken away.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        let (file, names) = (folder.join("audit.log"), folder.join("audit-members.log"));
        let opened = |path: &Path| {
            let file = open(path).and_then(|file| Ok((cut_off_the_torn(&file)?, file)));
            file.with_context(|| format!("the audit log {} cannot be opened", path.display()))
        };
        let ((mut bytes, end), (name_bytes, name_end)) = (opened(&file)?, opened(&names)?);
        cut_off_the_unnamed(&name_end, name_bytes)?;
        std::fs::remove_file(names.with_extension("new")).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        let last_id = loop {
            let Some(line) = last_line(&end, bytes)? else { break 0 };
            if let Ok(entry) = serde_json::from_slice::<Entry>(&line) {
                break entry.id;
            }
            // A crash may leave a line whose end is on disk and whose middle is not.
            bytes -= line.len() as u64 + 1;
            tracing::warn!(file = %file.display(), "the last line of the audit log is no entry and goes");
            end.set_len(bytes)?;
            end.sync_data()?;
        };
        let end = Mutex::new(End { file: end, bytes, last_id });
        Ok(Self { file, names, end })
    }

    /// Writes an entry down, with the next id and this instant; returns its id. It is on disk then.
    pub(crate) fn append(&self, entry: Entry) -> io::Result<u64> {
        let mut end = self.end.lock();
        let id = end.last_id + 1;
        let entry = Entry { id, at_ms: Clock::Wall.now().0, ..entry };
        let mut line = serde_json::to_vec(&entry).expect("an entry is plain data");
        line.push(b'\n');
        if line.len() as u64 > LINE_BYTES_MAX {
            return Err(io::Error::other("the entry is too long"));
        }
        let written = end.file.write_all_at(&line, end.bytes).and_then(|()| end.file.sync_data());
        if let Err(error) = written {
            // Part of a line must not stand before the next one.
            end.file.set_len(end.bytes)?;
            return Err(error);
        }
        end.bytes += line.len() as u64;
        end.last_id = id;
        Ok(id)
    }

    /// Whether entries name this member by a number.
    pub(crate) fn knows(&self, member: &str) -> io::Result<bool> {
        let _no_change = self.end.lock();
        for line in lines(&self.names)? {
            if named(&line?)?.1 == member {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The number by which entries name this member; a new one if there is none.
    pub(crate) fn number_of(&self, member: &str) -> io::Result<u64> {
        let _one_at_a_time = self.end.lock();
        let mut last = 0;
        for line in lines(&self.names)? {
            let (number, name) = named(&line?)?;
            if name == member {
                return Ok(number);
            }
            last = last.max(number);
        }
        let number = last + 1;
        let mut names = OpenOptions::new().append(true).open(&self.names)?;
        let bytes = names.metadata()?.len();
        let line = format!("{number} {member}\n");
        let written = names.write_all(line.as_bytes()).and_then(|()| names.sync_data());
        if let Err(error) = written {
            names.set_len(bytes)?;
            return Err(error);
        }
        Ok(number)
    }

    /// At most `most` entries from the place `from` in the file on, oldest first, and the place behind
    /// them. `None`: no entry begins at `from`.
    pub(crate) fn read(&self, from: u64, most: usize) -> io::Result<Option<(Vec<Entry>, u64)>> {
        let bytes = self.end.lock().bytes;
        let mut file = File::open(&self.file)?;
        if from > bytes || (from > 0 && byte_at(&file, from - 1)? != b'\n') {
            return Ok(None);
        }
        file.seek(SeekFrom::Start(from))?;
        let (mut entries, mut at) = (Vec::new(), from);
        for line in BufReader::new(file.take(bytes - from)).split(b'\n').take(most) {
            let line = line?;
            at += line.len() as u64 + 1;
            entries.push(serde_json::from_slice(&line).map_err(io::Error::other)?);
        }
        Ok(Some((entries, at)))
    }

    /// All entries about a member.
    pub(crate) fn about(&self, member: &str) -> io::Result<Vec<Entry>> {
        let mut number = None;
        for line in lines(&self.names)? {
            let (known, name) = named(&line?)?;
            number = number.or((name == member).then_some(known));
        }
        let mut about = Vec::new();
        let Some(number) = number else { return Ok(about) };
        let mut from = 0;
        while let Some((entries, next)) = self.read(from, 1_000)? {
            if next == from {
                break;
            }
            from = next;
            about.extend(entries.into_iter().filter(|entry| entry.member_number == Some(number)));
        }
        Ok(about)
    }

    /// As [`AuditLog::forget`], on a thread that may wait for the disk.
    pub(crate) async fn forget_member(self: &Arc<Self>, member: &MemberId) -> io::Result<()> {
        let (log, name) = (Arc::clone(self), member.to_string());
        let forgotten = tokio::task::spawn_blocking(move || log.forget(&name));
        forgotten.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// Takes a member's name away: entries name them by a number that nobody can read any more. The
    /// number is not given to anybody else.
    pub(crate) fn forget(&self, member: &str) -> io::Result<()> {
        let _one_at_a_time = self.end.lock();
        let mut kept = String::new();
        for line in lines(&self.names)? {
            let line = line?;
            let (number, name) = named(&line)?;
            let name = if name == member { GONE } else { &name };
            kept.push_str(&format!("{number} {name}\n"));
        }
        let unnamed = self.names.with_extension("new");
        let mut file = open(&unnamed)?;
        file.set_len(0)?;
        file.write_all(kept.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&unnamed, &self.names)?;
        // The new name of the file must be on disk, too.
        File::open(self.names.parent().unwrap_or(Path::new(".")))?.sync_all()
    }

    /// The names of these members that are still known.
    pub(crate) fn names_of(&self, numbers: &[u64]) -> io::Result<BTreeMap<u64, String>> {
        let _no_change = self.end.lock();
        let mut names = BTreeMap::new();
        for line in lines(&self.names)? {
            let (number, name) = named(&line?)?;
            if numbers.contains(&number) && name != GONE {
                names.insert(number, name);
            }
        }
        Ok(names)
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn byte_at(file: &File, at: u64) -> io::Result<u8> {
    let mut byte = [0];
    file.read_exact_at(&mut byte, at)?;
    Ok(byte[0])
}

/// Takes a line away that has no end; returns how long the file is then.
fn cut_off_the_torn(file: &File) -> io::Result<u64> {
    let mut bytes = file.metadata()?.len();
    let whole = bytes;
    while bytes > 0 && byte_at(file, bytes - 1)? != b'\n' {
        bytes -= 1;
    }
    if bytes < whole {
        file.set_len(bytes)?;
        file.sync_data()?;
    }
    Ok(bytes)
}

/// Takes last lines away that a crash has left without what they say.
fn cut_off_the_unnamed(file: &File, mut bytes: u64) -> anyhow::Result<()> {
    while let Some(line) = last_line(file, bytes)? {
        if str::from_utf8(&line).is_ok_and(|line| named(line).is_ok()) {
            break;
        }
        bytes -= line.len() as u64 + 1;
        tracing::warn!("the last line of the audit log's members names nobody and goes");
        file.set_len(bytes)?;
        file.sync_data()?;
    }
    Ok(())
}

/// The last line of a file that ends with one.
fn last_line(file: &File, bytes: u64) -> anyhow::Result<Option<Vec<u8>>> {
    let Some(end) = bytes.checked_sub(1) else { return Ok(None) };
    let mut start = end;
    while start > 0 && byte_at(file, start - 1)? != b'\n' {
        start -= 1;
        ensure!(end - start <= LINE_BYTES_MAX, "the last line of the audit log is too long");
    }
    let mut line = vec![0; usize::try_from(end - start)?];
    file.read_exact_at(&mut line, start)?;
    Ok(Some(line))
}

fn lines(names: &Path) -> io::Result<impl Iterator<Item = io::Result<String>>> {
    Ok(BufReader::new(File::open(names)?).lines())
}

fn named(line: &str) -> io::Result<(u64, String)> {
    let parts = line.split_once(' ').and_then(|(n, name)| Some((n.parse().ok()?, name.to_owned())));
    parts.ok_or_else(|| io::Error::other("a line of the audit log's members is no number and name"))
}

impl Entry {
    /// When it was written.
    pub(crate) const fn at(&self) -> Millis {
        Millis(self.at_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(action: &str) -> Entry {
        Entry { by: "ann".into(), action: action.into(), state: "asked".into(), ..Entry::default() }
    }

    #[test]
    fn entries_go_on_behind_a_line_that_a_crash_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let log = AuditLog::open(folder.path()).unwrap();
        assert_eq!(log.append(entry("pause")).unwrap(), 1);
        assert_eq!(log.append(entry("resume")).unwrap(), 2);
        drop(log);
        let path = folder.path().join("audit.log");
        let whole = std::fs::read(&path).unwrap();
        let broken = [whole.clone(), b"{\"id\":3,\0\0\0\n".to_vec()].concat();
        std::fs::write(&path, broken).unwrap();
        let log = AuditLog::open(folder.path()).unwrap();
        assert_eq!(log.read(0, 10).unwrap().unwrap().0.len(), 2);
        for cut in [1, 5, 20] {
            let mut torn = whole.clone();
            torn.extend_from_slice(&whole[..cut]);
            std::fs::write(&path, &torn).unwrap();
            let log = AuditLog::open(folder.path()).unwrap();
            let (entries, end) = log.read(0, 10).unwrap().unwrap();
            assert_eq!(entries.iter().map(|e| e.id).collect::<Vec<_>>(), [1, 2]);
            assert_eq!(end, whole.len() as u64);
        }
        let log = AuditLog::open(folder.path()).unwrap();
        assert_eq!(log.append(entry("close")).unwrap(), 3);
        let (first, next) = log.read(0, 1).unwrap().unwrap();
        let (second, _) = log.read(next, 1).unwrap().unwrap();
        assert_eq!((&*first[0].action, &*second[0].action), ("pause", "resume"));
        assert_eq!(log.read(next + 1, 1).unwrap(), None);
        assert_eq!(log.read(u64::MAX, 1).unwrap(), None);
    }

    #[test]
    fn a_member_keeps_their_number_over_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let log = AuditLog::open(folder.path()).unwrap();
        assert_eq!((log.number_of("ann").unwrap(), log.number_of("bob").unwrap()), (1, 2));
        drop(log);
        let log = AuditLog::open(folder.path()).unwrap();
        assert_eq!((log.number_of("bob").unwrap(), log.number_of("carol").unwrap()), (2, 3));
        let names = log.names_of(&[1, 3, 9]).unwrap();
        assert_eq!(names, BTreeMap::from([(1, "ann".into()), (3, "carol".into())]));
    }
}
