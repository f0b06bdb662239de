//! The machine on which something is measured: how busy it is, and what a process holds of its memory.

use std::fs;
use std::time::Duration;

/// How often a second the kernel counts what a process takes (`USER_HZ`, the same on every Linux).
const COUNTS_A_SECOND: u64 = 100;

/// The load average of the last minute, and over how many cores: as in `0.53 on 2 cores`.
pub fn load() -> String {
    let averages = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{} on {cores} cores", averages.split(' ').next().unwrap_or_default())
}

/// How much memory a process holds that is really there, in kB; 0 when it has ended.
pub fn resident_kilobytes(pid: u32) -> usize {
    kilobytes(pid, "VmRSS:")
}

/// The most that it ever held, in kB; 0 when it has ended.
pub fn peak_resident_kilobytes(pid: u32) -> usize {
    kilobytes(pid, "VmHWM:")
}

/// How long a process has been on a core, all its threads together; nothing when it has ended.
pub fn cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The second field, the name in parentheses, may have blanks in it; the fourteenth and fifteenth are meant.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    let counted =
        |place: usize| fields.get(place - 3).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis((counted(14) + counted(15)) * (1_000 / COUNTS_A_SECOND))
}

fn kilobytes(pid: u32, name: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number =
        line.and_then(|line| line.trim().strip_suffix("kB")).and_then(|number| number.trim().parse().ok());
    number.unwrap_or(0)
}
