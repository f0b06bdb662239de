//! Durations of a benchmark, summed up.

use std::fmt;
use std::time::Duration;

/// Durations, sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution(Vec<Duration>);

impl Distribution {
    /// Of at least one duration.
    pub fn of(durations: impl IntoIterator<Item = Duration>) -> Self {
        let mut sorted: Vec<_> = durations.into_iter().collect();
        assert!(!sorted.is_empty(), "nothing was measured");
        sorted.sort();
        Self(sorted)
    }

    /// The least duration that `percent` of all don't exceed (the nearest rank).
    pub fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0[rank.saturating_sub(1)]
    }

    /// The middle one.
    pub fn median(&self) -> Duration {
        self.percentile(50)
    }

    /// The median of the distances from the median: how far apart they lie, whatever a few of them do.
    pub fn median_deviation(&self) -> Duration {
        let median = self.median();
        Self::of(self.0.iter().map(|duration| duration.abs_diff(median))).median()
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percentiles = [("min", 0), ("p50", 50), ("p90", 90), ("p99", 99), ("max", 100)];
        for (name, percent) in percentiles {
            let milliseconds = self.percentile(percent).as_secs_f64() * 1_000.0;
            write!(formatter, "{name} {milliseconds:.1} ms  ")?;
        }
        write!(formatter, "count {}", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(milliseconds: impl IntoIterator<Item = u64>) -> Distribution {
        Distribution::of(milliseconds.into_iter().map(Duration::from_millis))
    }

    #[test]
    fn a_percentile_is_one_of_the_durations() {
        let hundred = of((1..=100).rev());
        assert_eq!(
            hundred.to_string(),
            "min 1.0 ms  p50 50.0 ms  p90 90.0 ms  p99 99.0 ms  max 100.0 ms  count 100"
        );
        assert_eq!(
            of([7]).to_string(),
            "min 7.0 ms  p50 7.0 ms  p90 7.0 ms  p99 7.0 ms  max 7.0 ms  count 1"
        );
    }

    #[test]
    fn the_median_deviation_does_not_care_for_the_farthest() {
        assert_eq!(of([10, 11, 12, 13, 9_000]).median_deviation(), Duration::from_millis(1));
    }
}
