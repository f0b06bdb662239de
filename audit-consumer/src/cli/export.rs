//! `export`: reads what is asked for, and says at the end how many events were written.

use std::io::Write;
use std::net::IpAddr;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::{Args, ValueEnum};
use shared::clock::Clock;
use shared::config::{DatabaseConfig, Reader};
use shared::contracts::trail::{ExportFormat, TrailExported, TrailFilters};
use shared::contracts::{Origin, Outcome};
use shared::database::connect_for_long_command;
use shared::entropy::Entropy;
use shared::ids::{EventId, RequestId, SessionId, UserId};
use shared::lifecycle::run_to_end;
use shared::outbox::Outbox;
use shared::telemetry::TraceContext;

use crate::config::PROGRAM;
use crate::export::{Destination, Export, Exported};

/// The longest reason and the longest name, in characters.
const WORDS_CHARS_MAX: usize = 500;

/// `export`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// JSON lines, exact to the byte, or CSV for a spreadsheet.
    #[arg(long, value_enum)]
    format: Format,
    /// A file that is not there yet, or `-` for standard output.
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: String,
    /// Why, in your own words; the audit trail keeps it.
    #[arg(long, value_name = "TEXT", value_parser = words)]
    reason: String,
    /// Who you are; the audit trail keeps it.
    #[arg(long, value_name = "NAME", value_parser = words)]
    actor: String,
    /// Only events behind this one: where an export that broke off says to go on.
    #[arg(long, value_name = "EVENT_ID")]
    after: Option<EventId>,
    #[command(flatten)]
    filters: FilterArguments,
}

#[derive(Debug, Args)]
struct FilterArguments {
    /// Only events of this instant or later: 2026-11-28T10:00:00Z, or a day.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    since: Option<DateTime<Utc>>,
    /// Only events before this instant; now, if it is not given.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    until: Option<DateTime<Utc>>,
    /// Only events of this type, such as auth.login.failed.
    #[arg(long = "type", value_name = "NAME")]
    event_type: Option<String>,
    /// Only events about this account.
    #[arg(long, value_name = "ID")]
    user_id: Option<UserId>,
    /// Only events that carried this username.
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Only events of this session.
    #[arg(long, value_name = "ID")]
    session_id: Option<SessionId>,
    /// Only events from this address.
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<IpAddr>,
    /// Only events that went well, or that did not.
    #[arg(long, value_enum)]
    outcome: Option<Went>,
    /// Only events of this request.
    #[arg(long, value_name = "ID")]
    request_id: Option<RequestId>,
    /// Only events of this trace.
    #[arg(long, value_name = "ID")]
    trace_id: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Jsonl,
    Csv,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Went {
    Success,
    Failure,
}

impl FilterArguments {
    fn filters(self) -> TrailFilters {
        TrailFilters {
            event_type: self.event_type,
            user_id: self.user_id,
            username: self.username,
            session_id: self.session_id,
            // As the trail has it.
            ip: self.ip.map(|address| address.to_canonical()),
            outcome: self.outcome.map(|went| match went {
                Went::Success => Outcome::Success,
                Went::Failure => Outcome::Failure,
            }),
            request_id: self.request_id,
            trace_id: self.trace_id,
            since: self.since,
            until: self.until,
        }
    }
}

/// Exports and says how much. Whoever closes the pipe has enough and is told nothing.
pub(super) fn run(arguments: Arguments, mut reader: Reader) -> anyhow::Result<()> {
    let database = DatabaseConfig::read(&mut reader);
    let database = reader.finish(database)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exported = runtime.block_on(export(arguments, &database));
    // Whoever gives up does not wait for the reader either.
    runtime.shutdown_background();
    let exported = exported?;
    if let Exported::Whole(events) = exported {
        writeln!(std::io::stderr(), "exported {events} event(s)")?;
    }
    Ok(())
}

async fn export(arguments: Arguments, database: &DatabaseConfig) -> anyhow::Result<Exported> {
    let (clock, entropy) = (Clock::system(), Entropy::system());
    let pool = connect_for_long_command(database, PROGRAM).await?;
    let outbox = Outbox::new(PROGRAM, clock.clone(), entropy.clone());
    let trace = TraceContext::new(&entropy);
    let request_id = Some(RequestId(entropy.uuid_v4()));
    let export = Export {
        destination: Destination::from(arguments.output.as_str()),
        told: TrailExported {
            actor: arguments.actor,
            reason: arguments.reason,
            filters: arguments.filters.filters(),
            after: arguments.after,
            format: match arguments.format {
                Format::Jsonl => ExportFormat::Jsonl,
                Format::Csv => ExportFormat::Csv,
            },
            output: arguments.output,
            origin: Origin::new(None, Some("audit-consumer export"), request_id),
        },
    };
    let work = |stop| async move { export.run(&pool, (&outbox, &trace), &clock, &stop).await };
    Ok(run_to_end(PROGRAM, work).await??)
}

fn words(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().any(char::is_control) || text.chars().count() > WORDS_CHARS_MAX {
        return Err(format!("must be one line of 1 to {WORDS_CHARS_MAX} characters"));
    }
    Ok(text.to_owned())
}

/// An instant, or the first one of a day of UTC.
fn instant(text: &str) -> Result<DateTime<Utc>, &'static str> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    let instant =
        DateTime::parse_from_rfc3339(text).map_err(|_| "must be like 2026-11-28T10:00:00Z or 2026-11-28")?;
    Ok(instant.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_has_a_zone_and_a_day_is_utcs() {
        assert_eq!(instant("2026-11-28").unwrap(), instant("2026-11-28T01:00:00+01:00").unwrap());
        for text in ["2026-11-28T10:00:00", "yesterday", "2026-13-01", ""] {
            assert!(instant(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_reason_is_one_line_that_says_something() {
        assert_eq!(words(" the auditor asks ").unwrap(), "the auditor asks");
        for text in ["", "  ", "two\nlines"] {
            assert!(words(text).is_err(), "{text:?}");
        }
    }
}
