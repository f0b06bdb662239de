//! The machine on which something is measured: how busy it is, and what a process holds of its memory.

use std::fs;

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

fn kilobytes(pid: u32, name: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number =
        line.and_then(|line| line.trim().strip_suffix("kB")).and_then(|number| number.trim().parse().ok());
    number.unwrap_or(0)
}
