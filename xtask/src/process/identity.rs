//! Which process is meant: its number and the instant it started, since the kernel gives numbers out again.

use std::{fs, path::Path};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

/// One process for its whole life, and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The process id.
    pub pid: u32,
    /// Clock ticks from the machine's boot to the process's start: field 22 of `/proc/<pid>/stat`.
    pub started: u64,
}

/// What we read from `/proc/<pid>/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    parent: u32,
    started: u64,
}

impl ProcessIdentity {
    /// The process that has this number now, if one runs.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = Stat::read(pid)?;
        stat.runs().then_some(Self { pid, started: stat.started })
    }

    /// True while this very process runs; a zombie doesn't, nor does a stranger with the same number.
    pub fn is_alive(self) -> bool {
        Stat::read(self.pid).is_some_and(|stat| is_same_and_alive(self, stat))
    }

    /// Sends a signal if this very process still runs.
    pub fn signal(self, signal: Signal) {
        if self.is_alive()
            && let Ok(pid) = i32::try_from(self.pid)
        {
            // It may end between the question and the signal, which is what the signal was for.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// All processes that run with `folder` or a folder below it as their working folder.
    pub fn working_in(folder: &Path) -> Vec<Self> {
        let works =
            |pid: u32| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
        let found = all().into_iter().filter(|&(pid, stat)| stat.runs() && works(pid));
        found.map(|(pid, stat)| Self { pid, started: stat.started }).collect()
    }

    /// All children, grandchildren and so on that run now, parents before children.
    pub fn descendants(self) -> Vec<Self> {
        let processes = all();
        let mut family = vec![self.pid];
        let mut found = Vec::new();
        let mut next = 0;
        while let Some(&parent) = family.get(next) {
            for &(pid, stat) in processes.iter().filter(|(_, stat)| stat.parent == parent && stat.runs()) {
                family.push(pid);
                found.push(Self { pid, started: stat.started });
            }
            next += 1;
        }
        found
    }

    /// Sends SIGKILL to the process and to everything that descends from it, and says who was meant.
    pub fn kill_family(self) -> Vec<Self> {
        let mut family = self.descendants();
        // The parent first, so that it can't start anew what we end.
        family.insert(0, self);
        for member in &family {
            member.signal(Signal::SIGKILL);
        }
        family
    }
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// `pid (name) state parent …`, where the name may itself contain spaces and parentheses.
    fn parse(line: &str) -> Option<Self> {
        let (_, after_name) = line.rsplit_once(')')?;
        let mut fields = after_name.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        // The state is field 3 and the parent field 4; the start is field 22.
        let started = fields.nth(17)?.parse().ok()?;
        Some(Self { state, parent, started })
    }

    fn runs(self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

fn is_same_and_alive(identity: ProcessIdentity, now: Stat) -> bool {
    now.started == identity.started && now.runs()
}

fn all() -> Vec<(u32, Stat)> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, Stat::read(pid)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str =
        "1234 (a (strange) name) S 77 1234 1234 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2 3";

    #[test]
    fn a_name_with_parentheses_is_read_over() {
        let stat = Stat::parse(LINE).unwrap();
        assert_eq!(stat, Stat { state: 'S', parent: 77, started: 987_654 });
    }

    #[test]
    fn a_reused_number_is_another_process() {
        let stat = Stat::parse(LINE).unwrap();
        assert!(is_same_and_alive(ProcessIdentity { pid: 1234, started: 987_654 }, stat));
        assert!(!is_same_and_alive(ProcessIdentity { pid: 1234, started: 987_653 }, stat));
    }

    #[test]
    fn a_zombie_is_dead() {
        let stat = Stat::parse(&LINE.replace(") S ", ") Z ")).unwrap();
        assert!(!is_same_and_alive(ProcessIdentity { pid: 1234, started: 987_654 }, stat));
    }

    #[test]
    fn this_process_is_alive() {
        assert!(ProcessIdentity::of(std::process::id()).unwrap().is_alive());
    }
}
