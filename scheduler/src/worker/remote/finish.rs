//! A worker reports how its attempt ended: recorded by the rules and in the transaction of our own workers.

use shared::telemetry::TraceContext;
use sqlx::PgConnection;

use super::answer::{ALREADY, Answer};
use super::ask::{FinishAsk, Reported};
use super::desk::{Over, ReportDesk};
use super::store::{self, AskedRun};
use super::{ReportError, end};
use crate::worker::execute;
use crate::worker::outcome::{End, Outcome};
use crate::worker::record::{Recorded, record_in};

/// What is kept of a failure without words.
const NO_WORDS: &str = "its worker gave no reason";

/// Records how the attempt at a run of `queue` ended, if it still has it.
pub(super) async fn finish(desk: &ReportDesk, queue: &str, ask: &FinishAsk) -> Result<Answer, ReportError> {
    let mut transaction = desk.database.begin().await?;
    let done = decide(desk, &mut transaction, queue, ask).await;
    let (answer, attempt) = end(transaction, done).await?;
    desk.over(attempt);
    Ok(answer)
}

async fn decide(
    desk: &ReportDesk,
    connection: &mut PgConnection,
    queue: &str,
    ask: &FinishAsk,
) -> Result<(Answer, Option<Over>), ReportError> {
    let Some(run) = store::lock(connection, queue, ask.run_id).await? else {
        return Ok((Answer::not_recorded(format!("{queue} has no run {}", ask.run_id)), None));
    };
    if is_recorded(&run, ask) {
        return Ok((Answer::recorded(&run.state, Some(ALREADY.to_owned())), None));
    }
    if let Err(reason) = run.is_held_by(&ask.worker, ask.attempt) {
        return Ok((Answer::not_recorded(reason), None));
    }
    let ended = match ask.outcome {
        Reported::Succeeded => End::Finished(Ok(ask.output.clone().unwrap_or_default())),
        Reported::Failed => End::Reported {
            error: ask.error.clone().filter(|error| !error.is_empty()).unwrap_or_else(|| NO_WORDS.to_owned()),
            is_lasting: ask.lasting,
        },
    };
    let trace = TraceContext::continue_from(ask.traceparent.as_deref(), &desk.entropy);
    let took = run.took();
    let outcome = Outcome::of(ended, run.attempt, &run.retry_policy(), &desk.entropy);
    let run = run.into_claimed();
    let recorded = record_in(connection, &desk.outbox, (&run, &trace), &outcome, took).await?;
    let answer = match recorded {
        Recorded::Written => Answer::recorded(outcome.state(), None),
        Recorded::Canceled => {
            Answer::recorded("failed", Some("somebody wanted it to end: it is not tried again".to_owned()))
        }
        // The row is locked, so nobody else has it since we looked.
        Recorded::Fenced => Answer::not_recorded("another attempt has the run"),
    };
    Ok((answer, Some(Over { job_key: run.job_key, how: execute::ended(&outcome, recorded), took })))
}

/// Whether the row says already what is reported, by this worker under this very attempt. Of a failure it says so until another
/// attempt begins.
fn is_recorded(run: &AskedRun, ask: &FinishAsk) -> bool {
    let is_its_own = run.attempt == ask.attempt && run.worker.as_ref() == Some(&ask.worker);
    let kind = run.error_kind.as_deref().unwrap_or_default();
    let is_so = match ask.outcome {
        Reported::Succeeded => run.state == "succeeded",
        Reported::Failed => match run.state.as_str() {
            "failed" => ["passing", "lasting", "canceled"].contains(&kind),
            "retrying" | "queued" => kind == "passing",
            _ => false,
        },
    };
    is_its_own && is_so
}
