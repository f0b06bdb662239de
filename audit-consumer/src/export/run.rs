//! Exports: tells of it, then writes page after page.

use std::io;
use std::path::PathBuf;

use shared::clock::Clock;
use shared::contracts::trail::{ExportFormat, TrailExported};
use shared::ids::EventId;
use shared::outbox::{AppendError, Outbox};
use shared::telemetry::TraceContext;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::output::{Destination, Output};
use super::store::{Look, Row};
use super::{csv, jsonl, store};

/// How many events one statement looks at, whether they fit or not: it holds back what vacuum would clean for no longer than
/// these take.
const LOOKED_AT_MAX: i64 = 10_000;
/// How many events are in memory at once. They are written while no statement is open: a reader that takes its time must not
/// have the database wait.
const HELD_MAX: usize = 500;

/// An export that was asked for.
#[derive(Debug, Clone)]
pub struct Export {
    /// Who, why, which events, as which lines: what the trail is told.
    pub told: TrailExported,
    /// Where to.
    pub destination: Destination,
}

/// How an export ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exported {
    /// All of so many events are written.
    Whole(u64),
    /// The reader at the other end of the pipe has enough.
    ReaderGone,
}

/// Why it did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// There is no place for it.
    #[error("{0} can't be written; what is there already is not overwritten")]
    Open(String, #[source] io::Error),
    /// Nothing was exported.
    #[error("the export can't be told in the audit trail, so nothing was exported")]
    Tell(#[source] AppendError),
    /// Nothing was exported.
    #[error("the export can't be told in the audit trail, so nothing was exported")]
    Commit(#[source] sqlx::Error),
    /// Some lines are written.
    #[error("the export broke off{}", gone_on(*.events, *.last, .part.as_ref(), .source))]
    BrokeOff {
        /// How many lines are written.
        events: u64,
        /// Behind which event to go on.
        last: Option<EventId>,
        /// Where they are, unless on standard output.
        part: Option<PathBuf>,
        /// Why.
        #[source]
        source: Broken,
    },
}

/// What broke.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The database.
    #[error("the trail can't be read")]
    Read(#[from] sqlx::Error),
    /// The disk or the pipe.
    #[error("the lines can't be written")]
    Write(#[from] io::Error),
    /// Whoever ran it.
    #[error("it was asked to stop")]
    Stopped,
    /// A fault of ours.
    #[error("an event can't be written as JSON")]
    Encode(#[from] serde_json::Error),
}

fn gone_on(events: u64, last: Option<EventId>, part: Option<&PathBuf>, source: &Broken) -> String {
    let place = match (part, source) {
        (Some(part), _) => format!(", in {}", part.display()),
        (None, Broken::Write(_)) => ", cut off what standard output may have behind them".to_owned(),
        (None, _) => String::new(),
    };
    match last {
        None => " before its first event".to_owned(),
        Some(last) => {
            format!(" behind {events} event(s){place}; go on with --after {last}")
        }
    }
}

impl Export {
    /// Exports; `stop` breaks it off where it can go on.
    pub async fn run(
        &self,
        database: &PgPool,
        (outbox, trace): (&Outbox, &TraceContext),
        clock: &Clock,
        stop: &CancellationToken,
    ) -> Result<Exported, ExportError> {
        // What comes from now on is another export's: this one ends somewhere.
        let now = clock.now();
        let mut output = Output::open(&self.destination)
            .map_err(|error| ExportError::Open(self.told.output.clone(), error))?;
        if let Err(error) = self.tell(database, outbox, trace).await {
            output.take_back();
            return Err(error);
        }
        let part = output.part();
        let filters = &self.told.filters;
        let since = filters.since.map_or(Uuid::nil(), |since| EventId::first_at(since).0);
        // Behind the id before the first one.
        let since = Uuid::from_u128(since.as_u128().saturating_sub(1));
        let before = EventId::first_at(filters.until.map_or(now, |until| until.min(now))).0;
        let mut written =
            Written { events: 0, after: self.told.after.map_or(since, |after| after.0.max(since)) };
        let result = self.write(database, before, (&mut written, stop), &mut output).await;
        match result {
            Ok(()) => {}
            Err(Broken::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Ok(Exported::ReaderGone);
            }
            Err(source) if written.events == 0 => {
                output.take_back();
                return Err(written.broke_off(None, source));
            }
            Err(source) => {
                output.give_up();
                return Err(written.broke_off(part, source));
            }
        }
        match output.finish() {
            Ok(()) => Ok(Exported::Whole(written.events)),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exported::ReaderGone),
            Err(error) => Err(written.broke_off(part, error.into())),
        }
    }

    async fn tell(
        &self,
        database: &PgPool,
        outbox: &Outbox,
        trace: &TraceContext,
    ) -> Result<(), ExportError> {
        let mut transaction = database.begin().await.map_err(ExportError::Commit)?;
        outbox.append(&mut transaction, trace, self.told.clone()).await.map_err(ExportError::Tell)?;
        transaction.commit().await.map_err(ExportError::Commit)
    }

    async fn write(
        &self,
        database: &PgPool,
        before: Uuid,
        (written, stop): (&mut Written, &CancellationToken),
        output: &mut Output,
    ) -> Result<(), Broken> {
        // The header of an export that goes on stands in its first part.
        if self.told.format == ExportFormat::Csv && self.told.after.is_none() {
            output.write(csv::HEADER.as_bytes().to_vec()).await?;
        }
        loop {
            if stop.is_cancelled() {
                return Err(Broken::Stopped);
            }
            let look = self.look(database, (written.after, before)).await?;
            self.write_found(database, &look.found, (written, stop), output).await?;
            match look.newest {
                Some(newest) if look.looked_at >= LOOKED_AT_MAX => written.after = newest,
                _ => return Ok(()),
            }
        }
    }

    async fn look(&self, database: &PgPool, bounds: (Uuid, Uuid)) -> Result<Look, sqlx::Error> {
        let mut transaction = database.begin().await?;
        let look = store::look(&mut transaction, &self.told.filters, bounds, LOOKED_AT_MAX).await?;
        transaction.commit().await?;
        Ok(look)
    }

    async fn write_found(
        &self,
        database: &PgPool,
        found: &[Uuid],
        (written, stop): (&mut Written, &CancellationToken),
        output: &mut Output,
    ) -> Result<(), Broken> {
        for ids in found.chunks(HELD_MAX) {
            if stop.is_cancelled() {
                return Err(Broken::Stopped);
            }
            let (mut page, mut lines) = (written.clone(), Vec::new());
            for row in store::rows(database, ids).await? {
                self.format(&row, &mut lines)?;
                page = Written { events: page.events + 1, after: row.event_id };
            }
            // Only what has left counts as written.
            output.write(lines).await?;
            *written = page;
        }
        Ok(())
    }

    fn format(&self, row: &Row, line: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        match self.told.format {
            ExportFormat::Jsonl => jsonl::write(row, line),
            ExportFormat::Csv => {
                csv::write(row, line);
                Ok(())
            }
        }
    }
}

/// How far an export has come.
#[derive(Debug, Clone)]
struct Written {
    events: u64,
    /// Behind which event it goes on: the last one written, or one behind it up to which no other fits.
    after: Uuid,
}

impl Written {
    fn last(&self) -> Option<EventId> {
        (self.events > 0).then_some(EventId(self.after))
    }

    fn broke_off(&self, part: Option<PathBuf>, source: Broken) -> ExportError {
        ExportError::BrokeOff { events: self.events, last: self.last(), part, source }
    }
}
