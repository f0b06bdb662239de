//! The last lines of a log, to show why something didn't start.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
};

/// The last `count` lines of `file`, or nothing if it can't be read.
pub fn last_lines(file: &Path, count: usize) -> Vec<String> {
    last_lines_since(file, 0, count)
}

/// The last `count` lines of what `file` has after its first `start` bytes, which an earlier process wrote.
pub fn last_lines_since(file: &Path, start: u64, count: usize) -> Vec<String> {
    let text = read_end(file, start).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut lines: Vec<String> = text.lines().rev().take(count).map(str::to_owned).collect();
    lines.reverse();
    lines
}

fn read_end(file: &Path, start: u64) -> std::io::Result<Vec<u8>> {
    const BYTES_MAX: u64 = 64 * 1024;
    let mut file = File::open(file)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(start.max(length.saturating_sub(BYTES_MAX))))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    Ok(end)
}
