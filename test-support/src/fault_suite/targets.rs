//! What faults were aimed at: a table of each kind and each program and server, so that whoever reads a report sees what was spared.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::fault::{Fault, Kind, Link, PROGRAMS, Replica, Server};

/// What a fault is aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// A program.
    Program(Replica),
    /// A node of the broker.
    Node(usize),
    /// Queues, bindings and messages at the broker, on whichever node.
    Messages,
    /// The database.
    Postgres,
    /// The network between a program and a server.
    Link(Link),
}

impl Target {
    /// What `fault` is aimed at.
    pub fn of(fault: Fault) -> Self {
        match fault {
            Fault::KilledProgram(program)
            | Fault::RestartedProgram(program)
            | Fault::FrozenProgram(program) => Self::Program(program),
            Fault::StoppedRabbitmq(node)
            | Fault::KilledRabbitmq(node)
            | Fault::FrozenRabbitmq(node)
            | Fault::MemoryAlarm(node)
            | Fault::DiskAlarm(node) => Self::Node(node),
            Fault::StoppedPostgres
            | Fault::KilledPostgres
            | Fault::FrozenPostgres
            | Fault::TerminatedBackends => Self::Postgres,
            Fault::CutLink(link)
            | Fault::StalledLink(link)
            | Fault::HalfOpenLink(link, _)
            | Fault::SlowLink(link)
            | Fault::ResetConnections(link, _) => Self::Link(link),
            Fault::FullQueue
            | Fault::DeletedQueue
            | Fault::RemovedBinding(_)
            | Fault::DuplicatePublish
            | Fault::PoisonMessage => Self::Messages,
        }
    }

    /// Each program and each server, with a broker of so many nodes.
    fn programs_and_servers(nodes: usize) -> Vec<Self> {
        let programs = PROGRAMS.into_iter().map(Self::Program);
        programs.chain((0..nodes).map(Self::Node)).chain([Self::Postgres]).collect()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program(program) => write!(formatter, "{program}"),
            Self::Node(number) => write!(formatter, "RabbitMQ {}", number + 1),
            Self::Messages => formatter.write_str("messages"),
            Self::Postgres => formatter.write_str("PostgreSQL"),
            Self::Link(link) => write!(formatter, "{link}"),
        }
    }
}

/// How often each kind of fault hit each target.
#[derive(Debug, Clone, Default)]
pub struct Hits {
    nodes: usize,
    counts: BTreeMap<(Kind, Target), usize>,
}

impl Hits {
    /// Those of `faults`, with a broker of so many nodes.
    pub fn of(faults: impl IntoIterator<Item = Fault>, nodes: usize) -> Self {
        let mut counts = BTreeMap::new();
        for fault in faults {
            *counts.entry((fault.kind(), Target::of(fault))).or_default() += 1;
        }
        Self { nodes, counts }
    }

    /// How many there were of each kind.
    pub fn by_kind(&self) -> BTreeMap<Kind, usize> {
        let mut kinds = BTreeMap::new();
        for ((kind, _), count) in &self.counts {
            *kinds.entry(*kind).or_default() += count;
        }
        kinds
    }

    /// The programs and servers that were not hit themselves.
    pub fn spared(&self) -> Vec<Target> {
        let is_spared = |target: &Target| !self.counts.keys().any(|(_, hit)| hit == target);
        Target::programs_and_servers(self.nodes).into_iter().filter(is_spared).collect()
    }

    /// Two tables in Markdown: upon programs and servers, and between them.
    pub(super) fn write(&self, text: &mut String) -> fmt::Result {
        let mut columns = Target::programs_and_servers(self.nodes);
        columns.push(Target::Messages);
        let words: Vec<String> = columns.iter().map(Target::to_string).collect();
        header(text, "upon", &words)?;
        for kind in self.kinds(|target| !matches!(target, Target::Link(_))) {
            self.row(text, kind.words(), columns.iter().map(|target| (kind, *target)))?;
        }
        let of_links = self.kinds(|target| matches!(target, Target::Link(_)));
        if !of_links.is_empty() {
            header(text, "between a program and a server", &PROGRAMS.map(|program| program.to_string()))?;
        }
        for kind in of_links {
            for server in [Server::Rabbitmq, Server::Postgres] {
                let links = PROGRAMS.into_iter().map(|program| Target::Link(Link { program, server }));
                self.row(text, &format!("{server:?}: {}", kind.words()), links.map(|link| (kind, link)))?;
            }
        }
        Ok(())
    }

    /// The kinds that hit such a target, each once.
    fn kinds(&self, is_meant: impl Fn(&Target) -> bool) -> Vec<Kind> {
        let meant = self.counts.keys().filter(|(_, target)| is_meant(target));
        let mut kinds: Vec<Kind> = meant.map(|(kind, _)| *kind).collect();
        kinds.dedup();
        kinds
    }

    fn row(
        &self,
        text: &mut String,
        words: &str,
        places: impl Iterator<Item = (Kind, Target)>,
    ) -> fmt::Result {
        write!(text, "| {words} |")?;
        for place in places {
            write!(text, " {} |", self.counts.get(&place).copied().unwrap_or(0))?;
        }
        writeln!(text)
    }
}

fn header(text: &mut String, first: &str, columns: &[String]) -> fmt::Result {
    writeln!(text, "\n| {first} | {} |", columns.join(" | "))?;
    writeln!(text, "|---|{}", "---|".repeat(columns.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(program: usize, server: Server) -> Fault {
        Fault::CutLink(Link { program: PROGRAMS[program], server })
    }

    #[test]
    fn each_kind_stands_against_each_program_and_server_also_those_that_were_spared() {
        let faults = [
            Fault::FrozenProgram(PROGRAMS[3]),
            Fault::KilledProgram(PROGRAMS[0]),
            Fault::KilledProgram(PROGRAMS[0]),
            Fault::KilledProgram(PROGRAMS[5]),
            Fault::DiskAlarm(1),
            Fault::StoppedPostgres,
            Fault::FullQueue,
            cut(0, Server::Postgres),
            cut(4, Server::Rabbitmq),
        ];
        let hits = Hits::of(faults, 2);
        let mut text = String::new();
        hits.write(&mut text).unwrap();
        let expected = "
| upon | producer-api-1 | producer-api-2 | audit-consumer-1 | audit-consumer-2 | scheduler-1 | scheduler-2 | RabbitMQ 1 | RabbitMQ 2 | PostgreSQL | messages |
|---|---|---|---|---|---|---|---|---|---|---|
| a program is killed (SIGKILL) and started again | 2 | 0 | 0 | 0 | 0 | 1 | 0 | 0 | 0 | 0 |
| a program is frozen (SIGSTOP) and goes on | 0 | 0 | 0 | 1 | 0 | 0 | 0 | 0 | 0 | 0 |
| PostgreSQL is stopped and started again | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 1 | 0 |
| the broker blocks publishers (disk alarm) | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 1 | 0 | 0 |
| the queue of the trail is full and refuses, without a consumer | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 1 |

| between a program and a server | producer-api-1 | producer-api-2 | audit-consumer-1 | audit-consumer-2 | scheduler-1 | scheduler-2 |
|---|---|---|---|---|---|---|
| Rabbitmq: connections are reset, new ones refused | 0 | 0 | 0 | 0 | 1 | 0 |
| Postgres: connections are reset, new ones refused | 1 | 0 | 0 | 0 | 0 | 0 |
";
        assert_eq!(text, expected);
        assert_eq!(hits.by_kind()[&Kind::KilledProgram], 3);
        let spared: Vec<String> = hits.spared().iter().map(Target::to_string).collect();
        assert_eq!(spared, ["producer-api-2", "audit-consumer-1", "scheduler-1", "RabbitMQ 1"]);
    }
}
