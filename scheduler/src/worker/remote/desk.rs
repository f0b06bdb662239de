//! Takes what is asked to whoever does it.

use std::time::Duration;

use shared::entropy::Entropy;
use shared::outbox::Outbox;
use sqlx::PgPool;

use super::answer::Answer;
use super::ask::{Ask, What};
use super::metrics::ReportMetrics;
use super::{ReportError, claim, finish, renew, reply_to};

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
}

impl ReportDesk {
    /// Does what a message asks that was published under `key`, and gives the answer, committed; `None` if it names no queue into
    /// which one may go. Then an outcome is recorded all the same, and nothing is claimed or renewed: nobody would know.
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
            What::Claim(what) => claim::claim(self, &ask.queue, what).await?,
            What::Renew(what) => renew::renew(self, &ask.queue, what).await?,
            What::Finish(what) => finish::finish(self, &ask.queue, what).await?,
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
