//! How busy the machine is on which something is measured.

use std::fs;

/// The load average of the last minute, and over how many cores: as in `0.53 on 2 cores`.
pub fn load() -> String {
    let averages = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{} on {cores} cores", averages.split(' ').next().unwrap_or_default())
}
