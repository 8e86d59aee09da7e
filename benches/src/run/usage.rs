//! Usage: what a process and its children took from the machine, as the kernel counts it.

use anyhow::Context;
use std::collections::HashMap;
use std::ops::Sub;
use std::time::Duration;

/// Ticks a second of the kernel's count, the same on every Linux.
const TICKS: u64 = 100;

/// What a process and its children have used so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Time on a core, of children that have ended as well.
    pub cpu: Duration,
    /// Memory that is resident now, in bytes; of what several processes share, each has its part.
    pub resident: u64,
}

impl Usage {
    /// What the process with this id and its children have used.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn of(pid: u32) -> anyhow::Result<Self> {
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for entry in std::fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // A process may end in between.
            let Ok(stat) = stat(pid) else { continue };
            children.entry(u32::try_from(stat[1])?).or_default().push(pid);
        }
        let (mut all, mut left) = (Self::default(), vec![pid]);
        while let Some(next) = left.pop() {
            left.extend(children.remove(&next).unwrap_or_default());
            match Self::of_one(next) {
                Ok(one) => {
                    all.cpu += one.cpu;
                    all.resident += one.resident;
                }
                // A child may end in between; its time counts with its parent's.
                Err(_) if next != pid => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    fn of_one(pid: u32) -> anyhow::Result<Self> {
        let stat = stat(pid)?;
        let ticks: u64 = stat[11..15].iter().sum();
        let cpu = Duration::from_millis(ticks * 1_000 / TICKS);
        let memory = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let kib = memory.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kib = kib.and_then(|kib| kib.strip_suffix("kB")).context("Pss is told in kB")?;
        let resident = kib.trim().parse::<u64>()? * 1_024;
        Ok(Self { cpu, resident })
    }
}

/// The numbers of `/proc/PID/stat` behind the name, from the state on, which counts as 0.
fn stat(pid: u32) -> anyhow::Result<Vec<u64>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, behind) = stat.rsplit_once(')').context("a process has a name")?;
    Ok(behind.split_whitespace().map(|word| word.parse().unwrap_or(0)).collect())
}

impl Sub for Usage {
    type Output = Self;

    /// What was used since `before`; the memory is that of now.
    fn sub(self, before: Self) -> Self {
        // A child that ended between two looks may be in neither.
        let cpu = self.cpu.saturating_sub(before.cpu);
        Self { cpu, resident: self.resident }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn time_on_a_core_and_memory_of_this_process_are_told() {
        let pid = std::process::id();
        let before = Usage::of(pid).unwrap();
        assert!(before.resident > 1 << 20, "{}", before.resident);
        let mut sum = 0_u64;
        while (Usage::of(pid).unwrap() - before).cpu < Duration::from_millis(50) {
            sum += black_box(0..1_000_000_u64).sum::<u64>();
        }
        assert!(black_box(sum) > 0);
    }
}
