//! What a relay counts.

use std::time::Duration;

use crate::broker::{Verdict, Verdicts};
use crate::contracts::Exchange;
use crate::metrics::{BATCH_SIZES, Counters, DURATIONS, Gauges, Histogram, Metrics};

/// What a relay counts. Clones share it; the default one is counted by nobody.
#[derive(Debug, Clone)]
pub struct RelayMetrics {
    connected: Gauges<1>,
    /// Whether the broker takes nothing over a lane's connection.
    pub(super) blocked: Gauges<1>,
    messages: Counters<2>,
    parked: Counters<1>,
    missing: Counters<1>,
    window_messages: Histogram,
    window_duration: Histogram,
}

impl RelayMetrics {
    /// Registers them.
    pub fn new(metrics: &Metrics) -> Self {
        let exchanges = || Exchange::ALL.into_iter().map(Exchange::name);
        let verdicts = exchanges().flat_map(|exchange| Verdict::WORDS.map(|verdict| [exchange, verdict]));
        let relay = Self {
            connected: metrics.gauges(
                "relay_connected",
                "Whether the relay has a connection to RabbitMQ for this exchange",
                ["exchange"],
            ),
            blocked: metrics.gauges(
                "relay_blocked",
                "Whether RabbitMQ takes nothing over the relay's connection for this exchange: a memory or disk alarm",
                ["exchange"],
            ),
            messages: metrics.counters(
                (
                    "relay_messages",
                    "Messages that the relay published, by what became of them: acked (confirmed), returned (unroutable), \
                     nacked (refused) or unknown; a message that is tried twice counts twice",
                ),
                ["exchange", "verdict"],
                verdicts,
            ),
            parked: metrics.counters(
                ("relay_parked", "Messages put into outbox_parked because no queue is bound for them"),
                ["exchange"],
                exchanges().map(|exchange| [exchange]),
            ),
            missing: metrics.counters(
                (
                    "relay_missing",
                    "Messages that RabbitMQ confirmed and the trail did not get, though it got later ones; they are parked \
                     to be sent again",
                ),
                ["exchange"],
                exchanges().map(|exchange| [exchange]),
            ),
            window_messages: metrics.histogram(
                "relay_window_messages",
                "How many messages were published in one go",
                BATCH_SIZES,
            ),
            window_duration: metrics.histogram(
                "relay_window_duration_seconds",
                "How long such a window took from its first message to the commit of its verdicts",
                DURATIONS,
            ),
        };
        for exchange in Exchange::ALL {
            relay.disconnected(exchange);
        }
        relay
    }

    /// A lane has a connection.
    pub(super) fn connected(&self, exchange: Exchange) {
        self.connected.of([exchange.name()]).set(1.0);
    }

    /// What the broker said of a window.
    pub(super) fn judged(&self, exchange: Exchange, verdicts: &Verdicts) {
        for word in Verdict::WORDS {
            let count = verdicts.values().filter(|verdict| verdict.word() == word).count();
            self.messages.of([exchange.name(), word]).inc_by(u64::try_from(count).unwrap_or(u64::MAX));
        }
    }

    /// The verdicts were committed.
    pub(super) fn settled(&self, exchange: Exchange, messages: usize, parked: usize, took: Duration) {
        self.parked.of([exchange.name()]).inc_by(u64::try_from(parked).unwrap_or(u64::MAX));
        self.window_messages.observe(u32::try_from(messages).map_or(f64::MAX, f64::from));
        self.window_duration.observe(took.as_secs_f64());
    }

    /// The trail misses what was confirmed.
    pub(super) fn missing(&self, exchange: Exchange, messages: usize) {
        self.missing.of([exchange.name()]).inc_by(u64::try_from(messages).unwrap_or(u64::MAX));
    }

    /// It is over.
    pub(super) fn disconnected(&self, exchange: Exchange) {
        self.connected.of([exchange.name()]).set(0.0);
        self.blocked.of([exchange.name()]).set(0.0);
    }
}

impl Default for RelayMetrics {
    fn default() -> Self {
        Self::new(&Metrics::default())
    }
}
