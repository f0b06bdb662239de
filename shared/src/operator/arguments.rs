//! What may be asked for at an end of the road: the same words at each.

use std::collections::HashSet;
use std::hash::Hash;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand};

use super::actor;
use super::filter::{Filter, TypePattern};
use super::operation::Operation;
use crate::clock::Clock;
use crate::config::parse_duration;
use crate::entropy::Entropy;
use crate::lifecycle::UsageError;

/// The longest reason and the longest name, in characters.
const WORDS_CHARS_MAX: usize = 500;

/// What may be done at an end of the road.
#[derive(Debug, Subcommand)]
pub enum EndCommand {
    /// Lists what lies there, the oldest first.
    List(ListArguments),
    /// Shows everything about one, its body included.
    Show(ShowArguments),
    /// Sends them on their way again. Each is told in the audit trail. Exit code 1: some could not be replayed.
    Replay(ActArguments),
    /// Throws them away. Each is told in the audit trail, with the digest of its body. Exit code 1: some are not there.
    Discard(ActArguments),
}

/// Which.
#[derive(Debug, Args)]
pub struct FilterArguments {
    /// Only those of this event type; `task.*` means all types that begin with `task.`.
    #[arg(long = "type", value_name = "NAME")]
    event_type: Option<String>,
    /// Only those whose reason has this in it, in whatever case.
    #[arg(long, value_name = "TEXT")]
    reason_contains: Option<String>,
    /// Only those that came longer ago than this, such as 1h30m.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    older_than: Option<Duration>,
    /// Only those that came in the last so many hours, minutes or seconds.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    newer_than: Option<Duration>,
}

/// `list`.
#[derive(Debug, Args)]
pub struct ListArguments {
    #[command(flatten)]
    filter: FilterArguments,
    /// The newest first.
    #[arg(long)]
    pub newest: bool,
    /// How many at the most.
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// As JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

/// `show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// Which, as it is listed.
    #[arg(value_name = "ID")]
    id: String,
    /// As JSON, with the body's exact text, or in base64 if it is none.
    #[arg(long)]
    pub json: bool,
}

/// `replay` and `discard`.
#[derive(Debug, Args)]
pub struct ActArguments {
    /// Which, as they are listed.
    #[arg(value_name = "ID", required_unless_present = "all")]
    ids: Vec<String>,
    /// All of them, or all that the filters leave.
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    #[command(flatten)]
    filter: FilterArguments,
    #[command(flatten)]
    who: WhoArguments,
    /// As JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

/// Who acts, and why.
#[derive(Debug, Args)]
pub struct WhoArguments {
    /// Why, in your own words; the audit trail keeps it.
    #[arg(long, value_name = "TEXT", value_parser = words)]
    reason: String,
    /// Who you are; the system's user and this host if you don't say.
    #[arg(long, value_name = "NAME", value_parser = words)]
    actor: Option<String>,
}

/// On what to act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection<Id> {
    /// These, each once.
    Named(Vec<Id>),
    /// All of these.
    Matching(Filter),
}

impl FilterArguments {
    /// As seen from `now`.
    fn resolve(&self, now: DateTime<Utc>) -> Filter {
        // Whatever lies before 1970 is before everything of ours.
        let ago = |duration: Duration| {
            let span = TimeDelta::from_std(duration).ok();
            let instant = span.and_then(|span| now.checked_sub_signed(span));
            instant.unwrap_or(DateTime::UNIX_EPOCH).max(DateTime::UNIX_EPOCH)
        };
        Filter {
            event_type: self.event_type.as_deref().map(TypePattern::parse),
            reason_contains: self.reason_contains.clone(),
            until: self.older_than.map(ago),
            since: self.newer_than.map(ago),
        }
    }
}

impl ListArguments {
    /// Which, as seen from `now`.
    pub fn filter(&self, now: DateTime<Utc>) -> Filter {
        self.filter.resolve(now)
    }
}

impl ShowArguments {
    /// Which, if it is an id of this end; `kind` says what ids there are.
    pub fn id<Id: FromStr>(&self, kind: &str) -> Result<Id, UsageError> {
        parse_id(&self.id, kind)
    }
}

impl ActArguments {
    /// On what to act, as seen from `now`; `kind` says what ids there are.
    pub fn selection<Id: FromStr + Clone + Eq + Hash>(
        &self,
        kind: &str,
        now: DateTime<Utc>,
    ) -> Result<Selection<Id>, UsageError> {
        let filter = self.filter.resolve(now);
        if self.all {
            return Ok(Selection::Matching(filter));
        }
        if filter != Filter::default() {
            return Err(UsageError("a filter goes with --all, not with ids".to_owned()));
        }
        let ids = self.ids.iter().map(|id| parse_id(id, kind)).collect::<Result<Vec<Id>, _>>()?;
        let mut seen = HashSet::new();
        Ok(Selection::Named(ids.into_iter().filter(|id| seen.insert(id.clone())).collect()))
    }

    /// Who calls `command`, and why.
    pub fn operation(&self, command: &str, clock: &Clock, entropy: &Entropy) -> Operation {
        self.who.operation(command, clock, entropy)
    }
}

impl WhoArguments {
    /// Who calls `command`, and why.
    pub fn operation(&self, command: &str, clock: &Clock, entropy: &Entropy) -> Operation {
        let actor = self.actor.clone().unwrap_or_else(actor::of_this_process);
        Operation::new(command, actor, self.reason.clone(), clock, entropy)
    }
}

fn parse_id<Id: FromStr>(text: &str, kind: &str) -> Result<Id, UsageError> {
    text.parse().map_err(|_| UsageError(format!("{text:?} is not {kind}")))
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    parse_duration(text).ok_or("must be a duration such as 90s, 15m or 1h30m")
}

fn words(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().any(char::is_control) || text.chars().count() > WORDS_CHARS_MAX {
        return Err(format!("must be one line of 1 to {WORDS_CHARS_MAX} characters"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: EndCommand,
    }

    fn read(line: &str) -> Result<EndCommand, clap::Error> {
        Line::try_parse_from(["program"].into_iter().chain(line.split(' '))).map(|line| line.command)
    }

    fn selection(line: &str) -> Result<Selection<i64>, UsageError> {
        let EndCommand::Replay(arguments) = read(line).unwrap() else { panic!("no replay") };
        arguments.selection("a number", DateTime::from_timestamp(1_000_000, 0).unwrap())
    }

    #[test]
    fn who_acts_says_on_what_and_why() {
        for refused in [
            "replay --all",
            "replay --reason x",
            "replay 7 --all --reason x",
            "discard 7",
            "list --limit 0",
            "list --limit 10001",
            "list --older-than soon",
        ] {
            assert!(read(refused).is_err(), "{refused}");
        }
        assert!(words(" \t ").is_err() && words("two\nlines").is_err() && words(&"x".repeat(501)).is_err());
        assert_eq!(words(" why ").unwrap(), "why");
    }

    #[test]
    fn ids_count_once_and_filters_go_with_all() {
        assert_eq!(selection("replay 7 8 7 --reason x").unwrap(), Selection::Named(vec![7, 8]));
        assert_eq!(
            selection("replay seven --reason x").unwrap_err().to_string(),
            "\"seven\" is not a number"
        );
        assert!(selection("replay 7 --type task.created --reason x").is_err());
        let expected = Filter {
            event_type: Some(TypePattern::Beginning("task.".to_owned())),
            reason_contains: None,
            until: DateTime::from_timestamp(1_000_000 - 60, 0),
            since: Some(DateTime::UNIX_EPOCH),
        };
        let all = "replay --all --type task.* --older-than 1m --newer-than 999999999999d --reason x";
        assert_eq!(selection(all).unwrap(), Selection::Matching(expected));
    }
}
