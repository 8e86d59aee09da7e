//! Disk: what the disk under a folder has written, as the disk counts it.
//!
//! The kernel also counts for each process what it sent to be written, but by the pages of its cache: a few
//! hundred bytes of a file that lies there in large pieces count as 64 KiB, though one block goes to the disk.

use anyhow::{Context, bail};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What disks count in.
const SECTOR: u64 = 512;

/// Returns the bytes that the disk under this folder has written since the machine started: everybody's, and the
/// file system's own journal with them. What waits to be written is written first, so that it does not count later.
///
/// # Errors
/// When the folder is on no disk that counts, or it cannot be synced.
pub fn written(folder: &Path) -> anyhow::Result<u64> {
    let opened = File::open(folder)?;
    let device = opened.metadata()?.dev();
    // As Linux puts both halves of the number together.
    let major = (device >> 8) & 0xfff | (device >> 32) & 0xffff_f000;
    let minor = device & 0xff | (device >> 12) & 0xffff_ff00;
    let path = format!("/sys/dev/block/{major}:{minor}/stat");
    rustix::fs::syncfs(&opened)?;
    let Ok(stat) = std::fs::read_to_string(&path) else {
        bail!("{} is on no disk that counts: {path} is not there", folder.display());
    };
    let sectors = stat.split_whitespace().nth(6).context("a disk counts sectors written")?;
    Ok(sectors.parse::<u64>()? * SECTOR)
}
