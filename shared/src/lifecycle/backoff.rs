//! How long to wait before the next try: exponential with full jitter and a ceiling.

use std::time::Duration;

use crate::entropy::Entropy;

/// Counts failures in a row and says how long to wait.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    ceiling: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits up to `first` after the first failure, twice as long after each further one, never above `ceiling`.
    pub const fn new(first: Duration, ceiling: Duration) -> Self {
        Self { first, ceiling, failures: 0 }
    }

    /// For servers that went away: 0.2 s to 5 s, so that a server that comes back is soon found again.
    pub const fn for_servers() -> Self {
        Self::new(Duration::from_millis(200), Duration::from_secs(5))
    }

    /// As if `failures` had happened already.
    #[must_use]
    pub const fn after(self, failures: u32) -> Self {
        Self { failures, ..self }
    }

    /// Counts a failure and gives the wait before the next try.
    pub fn next(&mut self, entropy: &Entropy) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        // Never quite zero: a server that refuses at once must not be asked in a tight circle.
        entropy.jitter(doubled.min(self.ceiling)).max(self.first / 4)
    }

    /// Forgets the failures after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_to_its_ceiling_and_starts_over_after_a_success() {
        let entropy = Entropy::seeded(3);
        let mut backoff = Backoff::for_servers();
        assert!(backoff.next(&entropy) <= Duration::from_millis(200));
        for _ in 0..100 {
            let wait = backoff.next(&entropy);
            assert!(wait >= Duration::from_millis(50) && wait <= Duration::from_secs(5));
        }
        backoff.reset();
        assert!(backoff.next(&entropy) <= Duration::from_millis(200));
    }
}
