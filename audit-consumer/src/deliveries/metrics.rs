//! What the consumer counts, once a batch is committed: a batch that is tried again counts once.

use std::time::Duration;

use chrono::{DateTime, Utc};
use shared::metrics::{BATCH_SIZES, Counter, Counters, DURATIONS, Histogram, LAGS, Metrics};

use super::QuarantineReason;
use crate::audit::Recorded;

/// Readable, but no row for PostgreSQL.
const REFUSED: &str = "refused_by_database";
/// Readable, and under the id of another message.
const OTHER_BODY: &str = "other_body";

/// What the consumer counts. Clones share it.
#[derive(Debug, Clone)]
pub struct ConsumerMetrics {
    recorded: Counter,
    duplicates: Counter,
    quarantined: Counters<1>,
    redelivered: Counter,
    batch_messages: Histogram,
    batch_duration: Histogram,
    lag: Histogram,
}

/// What a batch turned out to be, as far as it is counted.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// Of each readable message.
    pub(super) occurred_at: Vec<DateTime<Utc>>,
    /// The kind of each other.
    pub(super) set_aside: Vec<&'static str>,
    /// How many came not for the first time.
    pub(super) redelivered: u64,
}

impl ConsumerMetrics {
    /// Registers them.
    pub fn new(metrics: &Metrics) -> Self {
        let kinds = QuarantineReason::KINDS.into_iter().chain([REFUSED, OTHER_BODY]).map(|kind| [kind]);
        Self {
            recorded: metrics.counter("audit_events_recorded", "Events that became rows of the trail"),
            duplicates: metrics
                .counter("audit_events_duplicate", "Events that came again and were rows of the trail already"),
            quarantined: metrics.counters(
                (
                    "audit_messages_quarantined",
                    "Messages put into audit.quarantine, by what is wrong with them; one that comes again counts again",
                ),
                ["reason"],
                kinds,
            ),
            redelivered: metrics.counter(
                "audit_messages_redelivered",
                "Messages that RabbitMQ delivered again because they had not been acknowledged",
            ),
            batch_messages: metrics.histogram(
                "audit_batch_messages",
                "How many messages were committed in one transaction",
                BATCH_SIZES,
            ),
            batch_duration: metrics.histogram(
                "audit_batch_duration_seconds",
                "How long such a batch took from its judging to its commit",
                DURATIONS,
            ),
            lag: metrics.histogram(
                "audit_lag_seconds",
                "How old events are when they are rows of the trail: from the fact to the commit of its row",
                LAGS,
            ),
        }
    }

    /// A batch was committed at `now`.
    pub(super) fn kept(&self, judged: &Judged, recorded: Recorded, now: DateTime<Utc>, took: Duration) {
        let readable = judged.occurred_at.len();
        let counted = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        self.recorded.inc_by(recorded.entries);
        let Recorded { entries, refused, other, .. } = recorded;
        self.duplicates.inc_by(counted(readable).saturating_sub(entries + refused + other));
        for kind in &judged.set_aside {
            self.quarantined.of([kind]).inc();
        }
        self.quarantined.of([REFUSED]).inc_by(refused);
        self.quarantined.of([OTHER_BODY]).inc_by(other);
        self.redelivered.inc_by(judged.redelivered);
        for occurred_at in &judged.occurred_at {
            // A sender's clock may be ahead of ours.
            self.lag.observe((now - *occurred_at).to_std().unwrap_or_default().as_secs_f64());
        }
        let messages = readable + judged.set_aside.len();
        self.batch_messages.observe(u32::try_from(messages).map_or(f64::MAX, f64::from));
        self.batch_duration.observe(took.as_secs_f64());
    }
}
