//! What workers of other programs asked.

use shared::metrics::{Counters, Metrics};

use super::ask::Kind;

const UNKNOWN: &str = "unknown";
const UNREADABLE: &str = "unreadable";
const UNANSWERABLE: &str = "unanswerable";
const LOCKED: &str = "locked";

/// What was asked, and what it was answered. Clones share it.
#[derive(Debug, Clone)]
pub struct ReportMetrics {
    asks: Counters<2>,
}

impl ReportMetrics {
    /// Registers them.
    pub fn new(metrics: &Metrics) -> Self {
        let [claim, renew, finish] = Kind::ALL.map(Kind::name);
        let asks = metrics.counters(
            (
                "scheduler_asks",
                "What workers of other programs asked about runs of their queues, and what they were answered: granted, recorded, \
                 again (the same as before), refused, unreadable (not understood), unanswerable (a claim or renewal that \
                 names no queue for an answer), locked (somebody else held the run: not answered, to be asked again)",
            ),
            ["ask", "answer"],
            [
                [claim, "granted"],
                [claim, "again"],
                [claim, "refused"],
                [claim, UNREADABLE],
                [claim, UNANSWERABLE],
                [claim, LOCKED],
                [renew, "granted"],
                [renew, "refused"],
                [renew, UNREADABLE],
                [renew, UNANSWERABLE],
                [renew, LOCKED],
                [finish, "recorded"],
                [finish, "again"],
                [finish, "refused"],
                [finish, UNREADABLE],
                [finish, LOCKED],
                [UNKNOWN, UNREADABLE],
            ],
        );
        Self { asks }
    }

    /// An ask was answered with `word`.
    pub(super) fn answered(&self, kind: Kind, word: &'static str) {
        self.asks.of([kind.name(), word]).inc();
    }

    /// A message was not understood.
    pub(super) fn unreadable(&self, kind: Option<Kind>) {
        self.asks.of([kind.map_or(UNKNOWN, Kind::name), UNREADABLE]).inc();
    }

    /// Somebody else held the run for too long.
    pub(super) fn locked(&self, kind: Kind) {
        self.asks.of([kind.name(), LOCKED]).inc();
    }

    /// Nobody would hear the answer.
    pub(super) fn unanswerable(&self, kind: Kind) {
        self.asks.of([kind.name(), UNANSWERABLE]).inc();
    }
}
