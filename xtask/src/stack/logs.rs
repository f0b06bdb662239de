//! `cargo xtask logs`, and the stream of many logs as one.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};

use super::layout::Layout;
use crate::{
    console::{Colour, Console},
    interrupt,
    process::last_lines,
    wait,
};

/// How often files are looked at for new lines.
pub(super) const PACE: Duration = Duration::from_millis(100);

/// What `cargo xtask logs` takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct LogsArguments {
    /// Go on showing new lines until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// How many lines of each log to show first
    #[arg(long, short = 'n', default_value_t = 100)]
    lines: usize,
    /// Which ones, as `producer-api-1`, or `producer-api` for all its replicas [default: all]
    instances: Vec<String>,
}

/// Shows the programs' logs.
pub fn logs(console: &Console, arguments: &LogsArguments) -> anyhow::Result<()> {
    let layout = Layout::find()?;
    let chosen = |name: &str| {
        let wanted =
            |wish: &String| name == wish || name.strip_prefix(wish.as_str()).is_some_and(is_replica_number);
        arguments.instances.is_empty() || arguments.instances.iter().any(wanted)
    };
    let mut stream = LogStream::new(console);
    stream.discover(&layout.logs(), Start::AtEnd, chosen);
    if stream.sources.is_empty() && !arguments.follow {
        let known = log_files(&layout.logs()).into_keys().collect::<Vec<_>>().join(", ");
        bail!(
            "no such log; there are: {}",
            if known.is_empty() { "none, since nothing ran yet" } else { &known }
        );
    }
    stream.show_last_lines(arguments.lines);
    while arguments.follow && !console.is_closed() {
        if interrupt::requested() {
            return Ok(());
        }
        stream.discover(&layout.logs(), Start::AtBeginning, chosen);
        stream.show_new_lines();
        wait::a_moment(PACE);
    }
    Ok(())
}

/// Where to begin with a file that is seen for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    AtBeginning,
    AtEnd,
}

/// The new lines of many logs, each with its instance's name before it.
#[derive(Debug)]
pub(super) struct LogStream {
    console: Console,
    sources: BTreeMap<String, Source>,
}

#[derive(Debug)]
struct Source {
    file: PathBuf,
    position: u64,
    /// The begun line whose end isn't written yet.
    begun: Vec<u8>,
    colour: Colour,
}

impl LogStream {
    pub(super) fn new(console: &Console) -> Self {
        Self { console: console.clone(), sources: BTreeMap::new() }
    }

    /// Takes up the logs in `folder` that aren't known yet.
    pub(super) fn discover(&mut self, folder: &Path, start: Start, chosen: impl Fn(&str) -> bool) {
        const COLOURS: [Colour; 5] =
            [Colour::Cyan, Colour::Green, Colour::Magenta, Colour::Yellow, Colour::Blue];
        for (name, file) in log_files(folder) {
            if self.sources.contains_key(&name) || !chosen(&name) {
                continue;
            }
            let length = fs::metadata(&file).map_or(0, |metadata| metadata.len());
            let position = if start == Start::AtEnd { length } else { 0 };
            let colour = COLOURS[self.sources.len() % COLOURS.len()];
            self.sources.insert(name, Source { file, position, begun: Vec::new(), colour });
        }
    }

    /// Shows what was written since the last time.
    pub(super) fn show_new_lines(&mut self) {
        let new = self.sources.iter_mut().map(|(name, source)| (name.clone(), source.new_lines()));
        for (name, lines) in new.collect::<Vec<_>>() {
            for line in lines {
                self.show(&name, &line);
            }
        }
    }

    /// Shows one line in the name of an instance.
    pub(super) fn show(&self, name: &str, line: &str) {
        let width = self.sources.keys().map(String::len).max().unwrap_or_default();
        let colour = self.sources.get(name).map_or(Colour::Bold, |source| source.colour);
        let prefix = self.console.paint(colour, format_args!("{name:<width$} |"));
        self.console.line(format_args!("{prefix} {line}"));
    }

    fn show_last_lines(&self, count: usize) {
        for (name, source) in &self.sources {
            for line in last_lines(&source.file, count) {
                self.show(name, &line);
            }
        }
    }
}

impl Source {
    fn new_lines(&mut self) -> Vec<String> {
        // A log that can't be read now is read at the next look.
        let new = self.read_on().unwrap_or_default();
        self.begun.extend_from_slice(&new);
        let Some(end) = self.begun.iter().rposition(|&byte| byte == b'\n') else { return Vec::new() };
        let rest = self.begun.split_off(end + 1);
        let complete = std::mem::replace(&mut self.begun, rest);
        String::from_utf8_lossy(&complete).lines().map(str::to_owned).collect()
    }

    fn read_on(&mut self) -> anyhow::Result<Vec<u8>> {
        const BYTES_MAX: u64 = 1024 * 1024;
        let mut file = File::open(&self.file)?;
        let length = file.metadata()?.len();
        if length < self.position {
            // A new file has taken its place.
            self.position = 0;
        }
        if length == self.position {
            return Ok(Vec::new());
        }
        file.seek(SeekFrom::Start(self.position))?;
        let mut new = Vec::new();
        file.take(BYTES_MAX).read_to_end(&mut new).context("can't read a log")?;
        self.position += new.len() as u64;
        Ok(new)
    }
}

fn log_files(folder: &Path) -> BTreeMap<String, PathBuf> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let logs = files.filter(|file| file.extension().is_some_and(|extension| extension == "log"));
    logs.filter_map(|file| Some((file.file_stem()?.to_str()?.to_owned(), file))).collect()
}

fn is_replica_number(rest: &str) -> bool {
    rest.strip_prefix('-')
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_line_is_shown_once_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("producer-api-1.log");
        let mut log = File::create(&path).unwrap();
        let mut source = Source { file: path, position: 0, begun: Vec::new(), colour: Colour::Cyan };
        log.write_all(b"one\ntw").unwrap();
        assert_eq!(source.new_lines(), ["one"]);
        assert!(source.new_lines().is_empty());
        log.write_all(b"o\nthree\n").unwrap();
        assert_eq!(source.new_lines(), ["two", "three"]);
    }

    #[test]
    fn a_program_stands_for_its_replicas_only() {
        assert!(is_replica_number("-12"));
        assert!(!is_replica_number("-"));
        assert!(!is_replica_number("-x") && !is_replica_number("") && !is_replica_number("1"));
    }
}
