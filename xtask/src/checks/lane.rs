//! The lanes, in the order in which they run.

use std::str::FromStr;

use anyhow::{Error, Result, anyhow};

use super::session::Session;
use super::{clippy, deny, docs, format, queries, tests_lane};

/// One named check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Format,
    Queries,
    Clippy,
    Docs,
    Deny,
    Tests,
}

impl Lane {
    /// All lanes; the order is explained in the room's own documentation.
    pub(super) const ALL: [Self; 6] =
        [Self::Format, Self::Queries, Self::Clippy, Self::Docs, Self::Deny, Self::Tests];

    /// The name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Queries => "queries",
            Self::Clippy => "clippy",
            Self::Docs => "docs",
            Self::Deny => "deny",
            Self::Tests => "tests",
        }
    }

    /// What holds when the lane passes.
    pub(super) fn promise(self) -> &'static str {
        match self {
            Self::Format => "the code is formatted",
            Self::Queries => "the recorded queries fit the migrations",
            Self::Clippy => "no warning from compiler or clippy",
            Self::Docs => "the documentation builds, and its links lead somewhere",
            Self::Deny => "licences, sources and versions of the dependencies",
            Self::Tests => "every test passes",
        }
    }

    /// Does it need the private PostgreSQL?
    pub(super) fn needs_postgres(self) -> bool {
        matches!(self, Self::Queries | Self::Tests)
    }

    /// Does it need the private RabbitMQ?
    pub(super) fn needs_rabbitmq(self) -> bool {
        self == Self::Tests
    }

    /// Does it need Python with SimpleJWT?
    pub(super) fn needs_python(self) -> bool {
        self == Self::Tests
    }

    /// Runs it.
    pub(super) fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Self::Format => format::check(session),
            Self::Queries => queries::check(session),
            Self::Clippy => clippy::check(session),
            Self::Docs => docs::check(session),
            Self::Deny => deny::check(session),
            Self::Tests => tests_lane::check(session),
        }
    }
}

impl FromStr for Lane {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|lane| lane.name() == name).ok_or_else(|| {
            anyhow!("there is no lane `{name}`; the lanes are {}", Self::ALL.map(Self::name).join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_is_found_by_its_name() {
        for lane in Lane::ALL {
            assert_eq!(lane.name().parse::<Lane>().unwrap(), lane);
        }
    }

    #[test]
    fn an_unknown_lane_is_answered_with_the_known_ones() {
        let error = "lint".parse::<Lane>().unwrap_err().to_string();
        assert!(error.contains("`lint`") && error.contains("clippy"), "{error}");
    }
}
