//! Writes a batch: what is readable to the trail, what is not to the quarantine.
//!
//! Usually that is one transaction. If the database refuses a *row*, the batch is halved until that row is alone; it
//! goes to quarantine, and the others are recorded. If the database itself is out of order, nothing was written, the
//! error says so, and the caller keeps the batch.
//!
//! What comes again is left as it is. What comes under the id of another message goes to quarantine: one of the two is forged.

use std::time::Duration;

use shared::database::within;
use sqlx::{Connection, PgConnection, PgPool};

use super::{AuditEntry, Message, store};

/// Classes of SQLSTATE that tell of a value in the statement: data exceptions, integrity constraints, and values
/// beyond a limit of the program, such as an index entry that is too long.
const REFUSED_VALUE: [&str; 3] = ["22", "23", "54"];

/// How long the database may take for a batch. It takes milliseconds, and seconds while a partition is made.
const DEADLINE: Duration = Duration::from_secs(30);

/// What a batch of messages turned out to be.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    /// To be recorded.
    pub candidates: Vec<Candidate<'a>>,
    /// To be set aside.
    pub set_aside: Vec<SetAside<'a>>,
}

/// An event to be recorded, and the message it came in, should the database refuse it.
#[derive(Debug, Clone)]
pub struct Candidate<'a> {
    /// The row.
    pub entry: AuditEntry<'a>,
    /// The message.
    pub message: Message<'a>,
}

/// A message for the quarantine.
#[derive(Debug, Clone)]
pub struct SetAside<'a> {
    /// The message.
    pub message: Message<'a>,
    /// Why it is set aside.
    pub reason: String,
}

/// What was written. What was there already is not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recorded {
    /// New rows of the trail.
    pub entries: u64,
    /// New rows of the quarantine.
    pub quarantined: u64,
    /// Candidates that the database refused; they are among the quarantined.
    pub refused: u64,
    /// Candidates whose id the trail has with another body; they are among the quarantined, unless they came before.
    pub other: u64,
}

/// The batch could not be written, now or ever. It is to be kept and tried again.
#[derive(Debug, thiserror::Error)]
#[error("a batch of {messages} message(s) was not written")]
pub struct RecordError {
    /// How many messages it has.
    pub messages: usize,
    /// What the database says.
    #[source]
    pub source: sqlx::Error,
}

/// Writes a batch completely, or gives an error.
pub async fn record(database: &PgPool, batch: Batch<'_>) -> Result<Recorded, RecordError> {
    let messages = batch.candidates.len() + batch.set_aside.len();
    let failed = |source| RecordError { messages, source };
    let mut connection = database.acquire().await.map_err(failed)?;
    let recorded = within(DEADLINE, record_over(&mut connection, batch)).await;
    if recorded.is_err() {
        // Silent, or in the middle of something: it is of no more use.
        connection.close_on_drop();
    }
    recorded.map_err(failed)
}

async fn record_over(connection: &mut PgConnection, batch: Batch<'_>) -> Result<Recorded, sqlx::Error> {
    let Batch { candidates, set_aside } = batch;
    let mut recorded = match write(connection, &candidates, &set_aside).await {
        Err(error) if is_refusal(&error) && !candidates.is_empty() => {
            tracing::warn!(error = %error, messages = candidates.len(), "the database refuses a row, looking for it");
            write_in_parts(connection, &candidates, set_aside).await?
        }
        written => written?,
    };
    // As nearly always: nothing came again.
    if recorded.entries + recorded.refused == count(candidates.len()) {
        return Ok(recorded);
    }
    let others = store::with_other_bodies(connection, &candidates).await?;
    let others: Vec<_> = others.into_iter().filter_map(|place| candidates.get(place)).map(other).collect();
    if !others.is_empty() {
        recorded.other = count(others.len());
        recorded.quarantined += write(connection, &[], &others).await?.quarantined;
    }
    Ok(recorded)
}

/// As it is to be set aside: the trail has its id with another body.
pub(crate) fn other<'a>(candidate: &Candidate<'a>) -> SetAside<'a> {
    let reason = format!("the trail has another message under the id {}", candidate.entry.event_id);
    SetAside { message: candidate.message, reason }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Halves what the database refuses until each refused row is alone.
async fn write_in_parts<'a>(
    connection: &mut PgConnection,
    candidates: &[Candidate<'a>],
    mut set_aside: Vec<SetAside<'a>>,
) -> Result<Recorded, sqlx::Error> {
    let mut recorded = Recorded::default();
    let mut parts = vec![candidates];
    while let Some(part) = parts.pop() {
        match write(connection, part, &[]).await {
            Ok(written) => recorded.entries += written.entries,
            Err(error) if !is_refusal(&error) => return Err(error),
            Err(error) => match part {
                [refused] => {
                    let reason = format!("the database refuses the row: {error}");
                    set_aside.push(SetAside { message: refused.message, reason });
                    recorded.refused += 1;
                }
                several => {
                    let (left, right) = several.split_at(several.len() / 2);
                    parts.extend([right, left]);
                }
            },
        }
    }
    recorded.quarantined = write(connection, &[], &set_aside).await?.quarantined;
    Ok(recorded)
}

async fn write(
    connection: &mut PgConnection,
    candidates: &[Candidate<'_>],
    set_aside: &[SetAside<'_>],
) -> Result<Recorded, sqlx::Error> {
    if set_aside.is_empty() {
        // As nearly always: one statement, which commits by itself, and two turns less.
        let entries = store::insert_entries(connection, candidates).await?;
        return Ok(Recorded { entries, ..Recorded::default() });
    }
    let mut transaction = connection.begin().await?;
    let recorded = Recorded {
        entries: store::insert_entries(&mut transaction, candidates).await?,
        quarantined: store::insert_quarantined(&mut transaction, set_aside).await?,
        ..Recorded::default()
    };
    transaction.commit().await?;
    for SetAside { message, reason } in set_aside {
        tracing::error!(message_id = message.message_id, reason, "a message was put in audit.quarantine");
    }
    Ok(recorded)
}

/// Whether the database is in order and refuses a value.
pub(crate) fn is_refusal(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(database) => {
            database.code().is_some_and(|code| REFUSED_VALUE.iter().any(|class| code.starts_with(class)))
        }
        // The value never reached the database: it has no form there.
        sqlx::Error::Encode(_) => true,
        _ => false,
    }
}
