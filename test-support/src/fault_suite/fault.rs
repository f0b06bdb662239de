//! The words of faults: what is hit, what goes wrong there, which faults can't be at once, and whose errors they excuse.
//! Pure.

use std::fmt;

use crate::network::Way;

/// A running program of the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Replica {
    /// The program.
    pub program: &'static str,
    /// Which of its replicas, from 1.
    pub number: usize,
}

impl fmt::Display for Replica {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.program, self.number)
    }
}

/// The program that answers requests.
pub const API: &str = "producer-api";
/// The program that writes the trail.
pub const CONSUMER: &str = "audit-consumer";
/// The program that makes and runs jobs.
pub const SCHEDULER: &str = "scheduler";

/// The scheduler with the jobs of the suite (`scheduler/examples/suite-scheduler.rs`).
pub const SUITE_SCHEDULER: &str = "suite-scheduler";

/// Every program of a run.
pub const PROGRAMS: [Replica; 6] = [
    Replica { program: API, number: 1 },
    Replica { program: API, number: 2 },
    Replica { program: CONSUMER, number: 1 },
    Replica { program: CONSUMER, number: 2 },
    Replica { program: SCHEDULER, number: 1 },
    Replica { program: SCHEDULER, number: 2 },
];

/// The programs that the faults of a run of schedules hit.
pub const SCHEDULERS: [Replica; 3] = [
    Replica { program: SUITE_SCHEDULER, number: 1 },
    Replica { program: SUITE_SCHEDULER, number: 2 },
    Replica { program: SUITE_SCHEDULER, number: 3 },
];
/// And who writes down what they tell.
pub const RECORDER: Replica = Replica { program: CONSUMER, number: 1 };

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Server {
    /// The broker.
    Rabbitmq,
    /// The database.
    Postgres,
}

/// The network between a program and a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    /// The program.
    pub program: Replica,
    /// The server.
    pub server: Server,
}

impl fmt::Display for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} to {:?}", self.program, self.server)
    }
}

macro_rules! kinds {
    ($($kind:ident $words:literal),+ $(,)?) => {
        /// What can go wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $(#[doc = $words] $kind),+
        }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// In words.
            pub fn words(self) -> &'static str {
                match self {
                    $(Self::$kind => $words),+
                }
            }
        }
    };
}

kinds! {
    KilledProgram "a program is killed (SIGKILL) and started again",
    RestartedProgram "a program is ended in order (SIGTERM) and started again",
    FrozenProgram "a program is frozen (SIGSTOP) and goes on",
    StoppedRabbitmq "RabbitMQ is stopped and started again",
    KilledRabbitmq "RabbitMQ is killed (SIGKILL) and started again",
    FrozenRabbitmq "RabbitMQ is frozen (SIGSTOP) and goes on",
    StoppedPostgres "PostgreSQL is stopped and started again",
    KilledPostgres "PostgreSQL is killed (SIGKILL) and started again",
    FrozenPostgres "PostgreSQL is frozen (SIGSTOP) and goes on",
    TerminatedBackends "half of the database connections are terminated, once a second",
    CutLink "connections are reset, new ones refused",
    StalledLink "nothing passes, connections stay open",
    HalfOpenLink "one direction is silent, then connections are reset",
    SlowLink "everything is late, and slow",
    ResetConnections "connections are reset in the middle of what is sent",
    MemoryAlarm "the broker blocks publishers (memory alarm)",
    DiskAlarm "the broker blocks publishers (disk alarm)",
    FullQueue "the queue of the trail is full and refuses, without a consumer",
    DeletedQueue "the queue of the trail is deleted, with all that is in it",
    RemovedBinding "a binding of the queue of the trail is removed",
    DuplicatePublish "messages are published once more",
    PoisonMessage "messages come that nobody can read",
}

/// A fault with what it hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "`Kind` has the words")]
pub enum Fault {
    KilledProgram(Replica),
    RestartedProgram(Replica),
    FrozenProgram(Replica),
    StoppedRabbitmq(usize),
    KilledRabbitmq(usize),
    FrozenRabbitmq(usize),
    StoppedPostgres,
    KilledPostgres,
    FrozenPostgres,
    TerminatedBackends,
    CutLink(Link),
    StalledLink(Link),
    HalfOpenLink(Link, Way),
    SlowLink(Link),
    ResetConnections(Link, u64),
    MemoryAlarm(usize),
    DiskAlarm(usize),
    FullQueue,
    DeletedQueue,
    RemovedBinding(&'static str),
    DuplicatePublish,
    PoisonMessage,
}

/// What a fault needs for itself while it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// A program's process.
    Program(Replica),
    /// A link.
    Link(Link),
    /// The broker, any node of it.
    Rabbitmq,
    /// The database.
    Postgres,
}

/// Whose failed requests a fault explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excuse {
    /// Nobody's: an outage of the broker, and whatever befalls the other programs, must fail no request.
    Nobody,
    /// Those to one replica of the API, by its number.
    Replica(usize),
    /// All.
    Everybody,
}

impl Fault {
    /// Its kind.
    pub fn kind(self) -> Kind {
        match self {
            Self::KilledProgram(_) => Kind::KilledProgram,
            Self::RestartedProgram(_) => Kind::RestartedProgram,
            Self::FrozenProgram(_) => Kind::FrozenProgram,
            Self::StoppedRabbitmq(_) => Kind::StoppedRabbitmq,
            Self::KilledRabbitmq(_) => Kind::KilledRabbitmq,
            Self::FrozenRabbitmq(_) => Kind::FrozenRabbitmq,
            Self::StoppedPostgres => Kind::StoppedPostgres,
            Self::KilledPostgres => Kind::KilledPostgres,
            Self::FrozenPostgres => Kind::FrozenPostgres,
            Self::TerminatedBackends => Kind::TerminatedBackends,
            Self::CutLink(_) => Kind::CutLink,
            Self::StalledLink(_) => Kind::StalledLink,
            Self::HalfOpenLink(..) => Kind::HalfOpenLink,
            Self::SlowLink(_) => Kind::SlowLink,
            Self::ResetConnections(..) => Kind::ResetConnections,
            Self::MemoryAlarm(_) => Kind::MemoryAlarm,
            Self::DiskAlarm(_) => Kind::DiskAlarm,
            Self::FullQueue => Kind::FullQueue,
            Self::DeletedQueue => Kind::DeletedQueue,
            Self::RemovedBinding(_) => Kind::RemovedBinding,
            Self::DuplicatePublish => Kind::DuplicatePublish,
            Self::PoisonMessage => Kind::PoisonMessage,
        }
    }

    /// What it needs for itself.
    pub fn touches(self) -> Vec<Touch> {
        match self {
            Self::KilledProgram(program) | Self::RestartedProgram(program) | Self::FrozenProgram(program) => {
                vec![Touch::Program(program)]
            }
            Self::CutLink(link)
            | Self::StalledLink(link)
            | Self::HalfOpenLink(link, _)
            | Self::SlowLink(link)
            | Self::ResetConnections(link, _) => vec![Touch::Link(link)],
            Self::StoppedPostgres
            | Self::KilledPostgres
            | Self::FrozenPostgres
            | Self::TerminatedBackends => {
                vec![Touch::Postgres]
            }
            Self::StoppedRabbitmq(_)
            | Self::KilledRabbitmq(_)
            | Self::FrozenRabbitmq(_)
            | Self::MemoryAlarm(_)
            | Self::DiskAlarm(_)
            | Self::RemovedBinding(_) => vec![Touch::Rabbitmq],
            Self::DuplicatePublish | Self::PoisonMessage => vec![Touch::Rabbitmq, Touch::Postgres],
            Self::FullQueue | Self::DeletedQueue => {
                let consumers = PROGRAMS.into_iter().filter(|program| program.program == CONSUMER);
                consumers.map(Touch::Program).chain([Touch::Rabbitmq]).collect()
            }
        }
    }

    /// Whether both need something that only one can have.
    pub fn conflicts_with(self, other: Self) -> bool {
        let others = other.touches();
        self.touches().iter().any(|touch| others.contains(touch))
    }

    /// Whose failed requests it explains.
    pub fn excuses(self) -> Excuse {
        match self {
            Self::KilledProgram(program) | Self::RestartedProgram(program) | Self::FrozenProgram(program)
                if program.program == API =>
            {
                Excuse::Replica(program.number)
            }
            Self::CutLink(link)
            | Self::StalledLink(link)
            | Self::HalfOpenLink(link, _)
            | Self::SlowLink(link)
            | Self::ResetConnections(link, _)
                if link.program.program == API && link.server == Server::Postgres =>
            {
                Excuse::Replica(link.program.number)
            }
            Self::StoppedPostgres
            | Self::KilledPostgres
            | Self::FrozenPostgres
            | Self::TerminatedBackends => Excuse::Everybody,
            _ => Excuse::Nobody,
        }
    }

    /// Whether it keeps the broker, or the trail's queue there, from the API: no request may feel it.
    pub fn is_of_the_broker(self) -> bool {
        match self {
            Self::CutLink(link)
            | Self::StalledLink(link)
            | Self::HalfOpenLink(link, _)
            | Self::SlowLink(link)
            | Self::ResetConnections(link, _) => {
                link.program.program == API && link.server == Server::Rabbitmq
            }
            Self::StoppedRabbitmq(_)
            | Self::KilledRabbitmq(_)
            | Self::FrozenRabbitmq(_)
            | Self::MemoryAlarm(_)
            | Self::DiskAlarm(_)
            | Self::FullQueue
            | Self::DeletedQueue
            | Self::RemovedBinding(_) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.kind().words();
        match self {
            Self::KilledProgram(program) | Self::RestartedProgram(program) | Self::FrozenProgram(program) => {
                write!(formatter, "{program}: {words}")
            }
            Self::CutLink(link)
            | Self::StalledLink(link)
            | Self::SlowLink(link)
            | Self::ResetConnections(link, _) => write!(formatter, "{link}: {words}"),
            Self::HalfOpenLink(link, way) => write!(formatter, "{link}: {words} ({way:?})"),
            Self::StoppedRabbitmq(node)
            | Self::KilledRabbitmq(node)
            | Self::FrozenRabbitmq(node)
            | Self::MemoryAlarm(node)
            | Self::DiskAlarm(node) => write!(formatter, "node {}: {words}", node + 1),
            Self::RemovedBinding(exchange) => write!(formatter, "{exchange}: {words}"),
            _ => write!(formatter, "{words}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const API_1: Replica = PROGRAMS[0];
    const CONSUMER_1: Replica = PROGRAMS[2];

    fn link(program: Replica, server: Server) -> Link {
        Link { program, server }
    }

    #[test]
    fn only_what_hits_the_same_thing_waits_for_one_another() {
        let cut = Fault::CutLink(link(API_1, Server::Postgres));
        for (one, other, conflict) in [
            (Fault::KilledProgram(API_1), Fault::FrozenProgram(API_1), true),
            (Fault::KilledProgram(API_1), Fault::FrozenProgram(PROGRAMS[1]), false),
            (Fault::KilledProgram(API_1), cut, false),
            (cut, Fault::SlowLink(link(API_1, Server::Postgres)), true),
            (cut, Fault::SlowLink(link(API_1, Server::Rabbitmq)), false),
            (Fault::KilledRabbitmq(0), Fault::StoppedRabbitmq(1), true),
            (Fault::KilledRabbitmq(0), Fault::KilledPostgres, false),
            (Fault::FullQueue, Fault::KilledProgram(CONSUMER_1), true),
            (Fault::DeletedQueue, Fault::SlowLink(link(CONSUMER_1, Server::Postgres)), false),
            (Fault::DeletedQueue, Fault::PoisonMessage, true),
        ] {
            assert_eq!(one.conflicts_with(other), conflict, "{one} / {other}");
            assert_eq!(other.conflicts_with(one), conflict, "{other} / {one}");
        }
    }

    #[test]
    fn neither_the_broker_nor_another_program_excuses_a_failed_request() {
        for fault in [
            Fault::KilledRabbitmq(0),
            Fault::FrozenRabbitmq(0),
            Fault::MemoryAlarm(0),
            Fault::DiskAlarm(0),
            Fault::FullQueue,
            Fault::DeletedQueue,
            Fault::RemovedBinding("task.events"),
            Fault::StalledLink(link(API_1, Server::Rabbitmq)),
            Fault::StalledLink(link(CONSUMER_1, Server::Postgres)),
            Fault::KilledProgram(CONSUMER_1),
        ] {
            assert_eq!(fault.excuses(), Excuse::Nobody, "{fault}");
        }
        assert_eq!(Fault::KilledPostgres.excuses(), Excuse::Everybody);
        assert_eq!(Fault::KilledProgram(API_1).excuses(), Excuse::Replica(1));
        assert_eq!(Fault::CutLink(link(API_1, Server::Postgres)).excuses(), Excuse::Replica(1));
    }

    #[test]
    fn what_keeps_the_broker_from_the_api_excuses_nobody() {
        for (fault, expected) in [
            (Fault::KilledRabbitmq(0), true),
            (Fault::DeletedQueue, true),
            (Fault::CutLink(link(API_1, Server::Rabbitmq)), true),
            (Fault::CutLink(link(API_1, Server::Postgres)), false),
            (Fault::CutLink(link(CONSUMER_1, Server::Rabbitmq)), false),
            (Fault::KilledPostgres, false),
        ] {
            assert_eq!(fault.is_of_the_broker(), expected, "{fault}");
            assert!(!expected || fault.excuses() == Excuse::Nobody, "{fault}");
        }
    }
}
