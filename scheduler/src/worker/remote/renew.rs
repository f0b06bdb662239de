//! A worker asks for more time. Who must not go on is told why, and its attempt is recorded as ended.

use shared::telemetry::TraceContext;
use sqlx::PgConnection;

use super::answer::Answer;
use super::ask::RenewAsk;
use super::desk::{Over, ReportDesk};
use super::store::{self, AskedRun};
use super::{ReportError, end};
use crate::worker::execute;
use crate::worker::outcome::{End, Outcome};
use crate::worker::record::record_in;
use crate::worker::runs_store;

/// Holds a run of `queue` for another lease, unless it is to end.
pub(super) async fn renew(desk: &ReportDesk, queue: &str, ask: &RenewAsk) -> Result<Answer, ReportError> {
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
    ask: &RenewAsk,
) -> Result<(Answer, Option<Over>), ReportError> {
    let Some(run) = store::lock(connection, queue, ask.run_id).await? else {
        return Ok((Answer::not_granted(format!("{queue} has no run {}", ask.run_id)), None));
    };
    if let Err(reason) = run.is_held_by(&ask.worker, ask.attempt) {
        return Ok((Answer::not_granted(reason), None));
    }
    if let Some(reason) = run.cancel_reason.clone() {
        let outcome = Outcome::canceled(&reason);
        let over = record(desk, connection, run, &outcome, ask).await?;
        return Ok((Answer::not_granted(format!("canceled: {reason}")), Some(over)));
    }
    let limit = run.limit();
    if run.took() >= limit {
        let ended = End::TimedOut(limit);
        let policy = run.retry_policy();
        let outcome = Outcome::of(ended, run.attempt, &policy, &desk.entropy);
        let over = record(desk, connection, run, &outcome, ask).await?;
        let words = format!(
            "time limit exceeded: the attempt had {} s; the run is {}",
            limit.as_secs(),
            outcome.state()
        );
        return Ok((Answer::not_granted(words), Some(over)));
    }
    runs_store::renew_lease(connection, ask.run_id, ask.attempt, desk.lease.as_secs_f64()).await?;
    Ok((Answer::Renewed { granted: true, lease_seconds: desk.lease.as_secs() }, None))
}

async fn record(
    desk: &ReportDesk,
    connection: &mut PgConnection,
    run: AskedRun,
    outcome: &Outcome,
    ask: &RenewAsk,
) -> Result<Over, ReportError> {
    let trace = TraceContext::continue_from(ask.traceparent.as_deref(), &desk.entropy);
    let (took, run) = (run.took(), run.into_claimed());
    // It can't be fenced: the row is locked.
    let recorded = record_in(connection, &desk.outbox, (&run, &trace), outcome, took).await?;
    Ok(Over { job_key: run.job_key, how: execute::ended(outcome, recorded), took })
}
