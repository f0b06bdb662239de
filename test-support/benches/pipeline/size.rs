//! How much is measured.

/// The size of every part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// How often the raw limit and ours take turns.
    pub(crate) rounds: usize,
    /// Events of one round.
    pub(crate) round_events: usize,
    /// Events a second of the steady rate.
    pub(crate) a_second: u32,
    /// Seconds of the steady rate, after those that warm up.
    pub(crate) steady_seconds: u32,
    /// Events of the backlog over which memory is watched.
    pub(crate) backlog_events: usize,
}

impl Size {
    /// As `PIPELINE_SIZE` says: the full one, or `small`.
    pub(crate) fn chosen() -> Self {
        let full = Self {
            rounds: 5,
            round_events: 100_000,
            a_second: 400,
            steady_seconds: 60,
            backlog_events: 1_000_000,
        };
        let small = Self {
            rounds: 2,
            round_events: 20_000,
            a_second: 100,
            steady_seconds: 10,
            backlog_events: 100_000,
        };
        match std::env::var("PIPELINE_SIZE").as_deref() {
            Ok("small") => small,
            Ok("full") | Err(_) => full,
            Ok(other) => unreachable!("PIPELINE_SIZE is `small` or `full`, not {other:?}"),
        }
    }
}
