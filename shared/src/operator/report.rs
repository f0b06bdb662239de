//! What was found and done, told line by line.

use std::io::Write;

use serde::Serialize;

use super::table::{columns, harmless, json_lines};

/// How many failures the last words name.
const NAMED_IN_ERROR: usize = 5;

/// What is done to what lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Sent on its way again.
    Replay,
    /// Thrown away.
    Discard,
}

impl Verb {
    /// As commands are called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Discard => "discard",
        }
    }

    /// As it is told that it was done.
    pub const fn past(self) -> &'static str {
        match self {
            Self::Replay => "replayed",
            Self::Discard => "discarded",
        }
    }
}

/// What became of one that was to be acted upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// Its id, as listed.
    pub id: String,
    /// Whether it was done.
    pub done: bool,
    /// What else there is to say: why not, or how.
    pub note: Option<String>,
}

impl Deed {
    /// It was done.
    pub fn done(id: &impl ToString) -> Self {
        Self { id: id.to_string(), done: true, note: None }
    }

    /// It was done, and this is to be said of it.
    pub fn done_so(id: &impl ToString, note: impl Into<String>) -> Self {
        Self { id: id.to_string(), done: true, note: Some(note.into()) }
    }

    /// It was not done.
    pub fn failed(id: &impl ToString, why: impl Into<String>) -> Self {
        Self { id: id.to_string(), done: false, note: Some(why.into()) }
    }
}

#[derive(Serialize)]
struct DeedLine<'a> {
    id: &'a str,
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

/// Not everything that was to be done was done: the exit code is 1.
#[derive(Debug, thiserror::Error)]
#[error("{failed} of {all} could not be {past}: {examples}")]
pub struct NotAllDone {
    failed: usize,
    all: usize,
    past: &'static str,
    examples: String,
}

/// Counts deeds and words them.
#[derive(Debug)]
pub struct Report {
    past: &'static str,
    json: bool,
    done: usize,
    failed: usize,
    examples: Vec<String>,
}

impl Report {
    /// The report on deeds that are told as `past`, such as "replayed"; as JSON or for people.
    pub fn new(past: &'static str, json: bool) -> Self {
        Self { past, json, done: 0, failed: 0, examples: Vec::new() }
    }

    /// A line for each.
    pub fn lines(&mut self, deeds: &[Deed]) -> serde_json::Result<String> {
        for deed in deeds {
            self.count(deed);
        }
        let outcome = |deed: &Deed| if deed.done { self.past } else { "failed" };
        if self.json {
            let lines: Vec<_> = deeds
                .iter()
                .map(|deed| DeedLine { id: &deed.id, outcome: outcome(deed), note: deed.note.as_deref() })
                .collect();
            return json_lines(&lines);
        }
        let line = |deed: &Deed| {
            let note = deed.note.as_ref().map(|note| format!(": {}", harmless(note))).unwrap_or_default();
            format!("{} {}{note}\n", outcome(deed), harmless(&deed.id))
        };
        Ok(deeds.iter().map(line).collect())
    }

    fn count(&mut self, deed: &Deed) {
        if deed.done {
            self.done += 1;
            return;
        }
        self.failed += 1;
        if self.examples.len() < NAMED_IN_ERROR {
            let note = deed.note.as_deref().unwrap_or_default();
            self.examples.push(format!("{}: {}", harmless(&deed.id), harmless(note)));
        }
    }

    /// The last line for people; programs count themselves.
    pub fn summary(&self) -> String {
        if self.json { String::new() } else { format!("{} {} in all\n", self.past, self.done) }
    }

    /// Whether there was nothing to act upon.
    pub fn is_empty(&self) -> bool {
        self.done + self.failed == 0
    }

    /// An error if anything failed.
    pub fn finish(self) -> Result<(), NotAllDone> {
        if self.failed == 0 {
            return Ok(());
        }
        let more = if self.failed > self.examples.len() { "; …" } else { "" };
        Err(NotAllDone {
            failed: self.failed,
            all: self.done + self.failed,
            past: self.past,
            examples: self.examples.join("; ") + more,
        })
    }
}

/// How many there are beside those that are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Those that match; not known if not all were looked at.
    pub matching: Option<u64>,
    /// All that lie there.
    pub all: u64,
}

/// Prints a list: for people as a table with a last line that counts, for programs as one object a line, with the counts on
/// standard error.
pub fn print_list<T: Serialize, const N: usize>(
    rows: &[T],
    counts: Counts,
    json: bool,
    (titles, cells): ([&str; N], impl Fn(&T) -> [String; N]),
) -> anyhow::Result<()> {
    let matching = counts.matching.map(|matching| format!(", {matching} match")).unwrap_or_default();
    let counted = format!("{} shown{matching}, {} in all\n", rows.len(), counts.all);
    if json {
        print(&json_lines(rows)?)?;
        return Ok(write!(std::io::stderr().lock(), "{counted}")?);
    }
    let rows: Vec<_> = rows.iter().map(cells).collect();
    print(&(columns(titles, &rows) + &counted))
}

/// Writes a command's answer to standard output.
pub fn print(text: &str) -> anyhow::Result<()> {
    Ok(write!(std::io::stdout().lock(), "{text}")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_deed_is_a_line_and_whatever_failed_is_named_at_the_end() {
        let deeds =
            [Deed::done(&7), Deed::failed(&8, "there is none"), Deed::done_so(&9, "it was there already")];
        let mut people = Report::new(Verb::Replay.past(), false);
        let lines = people.lines(&deeds).unwrap();
        assert_eq!(lines, "replayed 7\nfailed 8: there is none\nreplayed 9: it was there already\n");
        assert_eq!(people.summary(), "replayed 2 in all\n");
        let error = people.finish().unwrap_err().to_string();
        assert_eq!(error, "1 of 3 could not be replayed: 8: there is none");

        let mut programs = Report::new(Verb::Discard.past(), true);
        let lines = programs.lines(&deeds[..2]).unwrap();
        assert_eq!(
            lines,
            "{\"id\":\"7\",\"outcome\":\"discarded\"}\n{\"id\":\"8\",\"outcome\":\"failed\",\"note\":\"there is none\"}\n"
        );
        assert_eq!(programs.summary(), "");
        assert!(Report::new(Verb::Discard.past(), true).finish().is_ok());
    }
}
