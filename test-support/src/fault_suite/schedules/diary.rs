//! What attempts write of themselves, a line at a time, into one file to which all processes append: they go on writing when
//! neither database nor broker is reached, and what a killed one has written stays.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use shared::clock::Clock;
use uuid::Uuid;

/// How often an attempt says that it goes on.
pub const BEAT: Duration = Duration::from_millis(50);
/// The setting that says where the file is.
pub const FILE: &str = "FAULT_SUITE_DIARY";
/// The setting that says what fates are drawn from.
pub const SEED: &str = "FAULT_SUITE_SEED";

/// What an attempt says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It begins.
    Begins,
    /// It goes on.
    Beats,
    /// It has done what it should.
    Done,
    /// It has failed.
    Failed,
    /// It is about to panic.
    Panicked,
    /// It was ended before it was over.
    Cut,
}

impl Word {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Begins, "begins"),
        (Self::Beats, "beats"),
        (Self::Done, "done"),
        (Self::Failed, "failed"),
        (Self::Panicked, "panicked"),
        (Self::Cut, "cut"),
    ];
}

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When, by the clock of this machine, which is the database's, too.
    pub at: DateTime<Utc>,
    /// What.
    pub word: Word,
    /// Of which run.
    pub run: Uuid,
    /// Of which schedule.
    pub schedule: String,
    /// Which attempt.
    pub attempt: i32,
    /// In which process.
    pub pid: u32,
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, word, run, schedule, attempt, pid } = self;
        let word = Word::ALL.iter().find(|(one, _)| one == word).map_or("", |(_, name)| name);
        let nanoseconds = at.timestamp_nanos_opt().unwrap_or(0);
        write!(formatter, "{nanoseconds} {word} {run} {schedule} {attempt} {pid}")
    }
}

/// What nobody of the suite has written.
#[derive(Debug, PartialEq, Eq)]
pub struct Unreadable;

impl FromStr for Line {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let parts: Vec<&str> = text.split(' ').collect();
        let [at, word, run, schedule, attempt, pid] = parts[..] else { return Err(Unreadable) };
        let word = Word::ALL.iter().find(|(_, name)| *name == word).ok_or(Unreadable)?.0;
        Ok(Self {
            at: DateTime::from_timestamp_nanos(at.parse().map_err(|_| Unreadable)?),
            word,
            run: run.parse().map_err(|_| Unreadable)?,
            schedule: schedule.to_owned(),
            attempt: attempt.parse().map_err(|_| Unreadable)?,
            pid: pid.parse().map_err(|_| Unreadable)?,
        })
    }
}

/// An attempt that writes.
#[derive(Debug)]
pub struct Diary {
    file: File,
    clock: Clock,
    line: Line,
    is_over: bool,
}

impl Diary {
    /// The attempt begins.
    pub fn begin(path: &Path, (schedule, run, attempt): (&str, Uuid, i32), clock: Clock) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        let (at, schedule, pid) = (clock.now(), schedule.to_owned(), std::process::id());
        let line = Line { at, word: Word::Begins, run, schedule, attempt, pid };
        let mut diary = Self { file, clock, line, is_over: false };
        diary.write(Word::Begins)?;
        Ok(diary)
    }

    /// It goes on.
    pub fn beat(&mut self) -> io::Result<()> {
        self.write(Word::Beats)
    }

    /// It is over.
    pub fn end(&mut self, word: Word) -> io::Result<()> {
        self.is_over = true;
        self.write(word)
    }

    fn write(&mut self, word: Word) -> io::Result<()> {
        let line = Line { at: self.clock.now(), word, ..self.line.clone() };
        // All at once: a line is whole or not there, and after all that were there before.
        self.file.write_all(format!("{line}\n").as_bytes())
    }
}

impl Drop for Diary {
    fn drop(&mut self) {
        if !self.is_over {
            // Nobody is left who could be told.
            let _ = self.write(Word::Cut);
        }
    }
}

/// Reads all lines in the order of their time; gives how many are none, too.
pub fn read(path: &Path) -> io::Result<(Vec<Line>, usize)> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text?,
    };
    let all = text.lines().count();
    let mut lines: Vec<Line> = text.lines().filter_map(|line| line.parse().ok()).collect();
    let unreadable = all - lines.len();
    lines.sort_by_key(|line| line.at);
    Ok((lines, unreadable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_garbage_is_counted() {
        use Word::{Beats, Begins, Cut, Done};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("diary");
        let run = Uuid::from_u128(7);
        let begin = |attempt| Diary::begin(&path, ("skips", run, attempt), Clock::system()).unwrap();
        let mut one = begin(1);
        one.beat().unwrap();
        one.end(Word::Done).unwrap();
        drop(one);
        drop(begin(2));
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"what is this\n").unwrap();
        let (lines, unreadable) = read(&path).unwrap();
        let told: Vec<(Word, i32)> = lines.iter().map(|line| (line.word, line.attempt)).collect();
        assert_eq!(told, [(Begins, 1), (Beats, 1), (Done, 1), (Begins, 2), (Cut, 2)]);
        assert!(lines.iter().all(|line| line.run == run && line.pid == std::process::id()));
        assert_eq!(unreadable, 1);
        assert_eq!(read(&folder.path().join("none")).unwrap(), (Vec::new(), 0));
    }
}
