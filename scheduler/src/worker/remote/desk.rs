//! Takes what is asked to whoever does it.

use std::time::Duration;

use shared::entropy::Entropy;
use shared::outbox::Outbox;
use sqlx::PgPool;

use super::answer::Answer;
use super::ask::{Ask, What};
use super::metrics::ReportMetrics;
use super::{ReportError, claim, finish, renew, reply_to};
use crate::worker::WorkerMetrics;
use crate::worker::metrics::Ended;

/// What answering needs.
#[derive(Debug, Clone)]
pub struct ReportDesk {
    /// The database.
    pub database: PgPool,
    /// For events.
    pub outbox: Outbox,
    /// For waits and traces.
    pub entropy: Entropy,
    /// How long a claim holds. Whole seconds.
    pub lease: Duration,
    /// What counts it.
    pub metrics: ReportMetrics,
    /// What counts the attempts.
    pub attempts: WorkerMetrics,
}

/// An attempt that is over, and told.
#[derive(Debug)]
pub(super) struct Over {
    pub(super) job_key: String,
    pub(super) how: Ended,
    pub(super) took: Duration,
}

impl ReportDesk {
    /// It is committed.
    pub(super) fn over(&self, attempt: Option<Over>) {
        if let Some(Over { job_key, how, took }) = attempt {
            self.attempts.ended(&job_key, how, took);
        }
        self.outbox.wake();
    }

    /// Does what a message asks that was published under `key`, and gives the answer, committed; `None` if there is none to give.
    /// One that names no queue into which an answer may go has its outcome recorded all the same, and claims and renews nothing:
    /// nobody would know. Nothing is done if somebody else holds the run: who waits for the answer asks again, and others do not
    /// wait for him.
    pub async fn answer(
        &self,
        key: &str,
        body: &[u8],
        reply_to: Option<&str>,
    ) -> Result<Option<Answer>, ReportError> {
        let can_answer = reply_to.is_some_and(|queue| reply_to::is_allowed(queue, key));
        let ask = match Ask::parse(key, body) {
            Ok(ask) => ask,
            Err(unreadable) => {
                tracing::warn!(key, reason = unreadable.reason, "an ask about a run is refused");
                self.metrics.unreadable(unreadable.kind);
                let answer = Answer::unreadable(unreadable.kind, unreadable.reason);
                return Ok(can_answer.then_some(answer));
            }
        };
        let kind = ask.kind();
        if !can_answer && !matches!(ask.what, What::Finish(_)) {
            tracing::warn!(key, reply_to, "an ask about a run names no queue for its answer");
            self.metrics.unanswerable(kind);
            return Ok(None);
        }
        let answer = match &ask.what {
            What::Claim(what) => claim::claim(self, &ask.queue, what).await,
            What::Renew(what) => renew::renew(self, &ask.queue, what).await,
            What::Finish(what) => finish::finish(self, &ask.queue, what).await,
        };
        let answer = match answer {
            Err(error) if can_answer && error.is_locked() => {
                tracing::warn!(
                    key,
                    "an ask about a run waits for a lock of somebody else's: it is not answered"
                );
                self.metrics.locked(kind);
                return Ok(None);
            }
            Err(error) => {
                let Some(refusal) = error.refusal() else { return Err(error) };
                tracing::error!(key, refusal, "an ask about a run has a value that the database refuses");
                self.metrics.unreadable(Some(kind));
                let answer = Answer::unreadable(Some(kind), format!("the database refuses it: {refusal}"));
                return Ok(can_answer.then_some(answer));
            }
            Ok(answer) => answer,
        };
        self.metrics.answered(kind, answer.word());
        log(&ask, &answer);
        Ok(can_answer.then_some(answer))
    }
}

fn log(ask: &Ask, answer: &Answer) {
    let (queue, what, answered) = (ask.queue.as_str(), ask.kind().name(), answer.word());
    let (run, worker) = match &ask.what {
        What::Claim(ask) => (ask.run_id, &ask.worker),
        What::Renew(ask) => (ask.run_id, &ask.worker),
        What::Finish(ask) => (ask.run_id, &ask.worker),
    };
    match answer {
        Answer::NotGranted { reason, .. } | Answer::NotRecorded { reason, .. } => {
            tracing::info!(run.id = %run, queue, worker, what, reason, "a worker is refused");
        }
        _ => tracing::debug!(run.id = %run, queue, worker, what, answered, "a worker is answered"),
    }
}
