//! What a process tells of itself, under the names that every Prometheus library uses.

use std::fs;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::registry::Metrics;
use super::sampled::{Sample, Sampled};

/// How many clock ticks `/proc` has a second; on Linux it is always so.
const TICKS_PER_SECOND: f64 = 100.0;

/// The build, the process and its pool of connections to PostgreSQL.
pub(super) fn tell(metrics: &Metrics, program: &'static str, started_at: DateTime<Utc>, pool: &PgPool) {
    let labels = [("program", program), ("version", env!("CARGO_PKG_VERSION"))];
    metrics.sampled(
        "build_info",
        "Which program this is, and of which version",
        [Sample::new(labels, || Some(1.0))],
    );
    let started = f64::from(u32::try_from(started_at.timestamp()).unwrap_or(u32::MAX));
    metrics.sampled(
        "process_start_time_seconds",
        "When the process began, in seconds since 1970",
        [Sample::new([], move || Some(started))],
    );
    metrics.sampled(
        "process_resident_memory_bytes",
        "How much memory the process has",
        [Sample::new([], || resident_bytes(&fs::read_to_string("/proc/self/status").ok()?))],
    );
    metrics.sampled(
        "process_open_fds",
        "How many files and sockets the process has open",
        [Sample::new([], open_files)],
    );
    metrics.collected(Sampled::counters(
        "process_cpu_seconds",
        "How long the process has computed",
        [Sample::new([], || cpu_seconds(&fs::read_to_string("/proc/self/stat").ok()?))],
    ));
    let (idle, busy, most) = (pool.clone(), pool.clone(), pool.options().get_max_connections());
    metrics.sampled(
        "database_connections",
        "Connections to PostgreSQL that this process's pool holds",
        [
            Sample::new([("state", "idle")], move || count(idle.num_idle())),
            Sample::new([("state", "busy")], move || {
                count(usize::try_from(busy.size()).ok()?.saturating_sub(busy.num_idle()))
            }),
        ],
    );
    metrics.sampled(
        "database_connections_max",
        "How many the pool may hold",
        [Sample::new([], move || Some(f64::from(most)))],
    );
}

/// As a figure, if there are not absurdly many.
fn count(number: usize) -> Option<f64> {
    u32::try_from(number).ok().map(f64::from)
}

/// Of `/proc/self/status`.
fn resident_bytes(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}

/// Of `/proc/self/stat`: the time in the program and in the kernel.
fn cpu_seconds(stat: &str) -> Option<f64> {
    // The second field is the program's name, which may hold anything; the time has the numbers 14 and 15.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

fn open_files() -> Option<f64> {
    // Not counting the folder that is read for it.
    count(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_tells_is_read() {
        assert_eq!(resident_bytes("VmPeak:\t  9000 kB\nVmRSS:\t   2048 kB\n"), Some(2_097_152.0));
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 12345 1 2";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!((resident_bytes(""), cpu_seconds("nonsense")), (None, None));
    }
}
