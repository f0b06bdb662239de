//! Waiting for what should happen, with a deadline, never for a fixed time.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;

/// How often a condition is looked at: often enough that a test is not slower for it.
const PAUSE: Duration = Duration::from_millis(15);

/// Asks `attempt` until it gives a value. Fails the test after `deadline` with a sentence that names `what`.
pub async fn eventually<T>(
    deadline: Duration,
    what: impl Display,
    mut attempt: impl AsyncFnMut() -> Option<T>,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = attempt().await {
            return value;
        }
        assert!(started.elapsed() < deadline, "waited {} s in vain for {what}", deadline.as_secs_f32());
        tokio::time::sleep(PAUSE).await;
    }
}

/// Asks `look` until it gives `expected`. Fails the test after `deadline` with a sentence that names `what` and what
/// was seen last.
pub async fn settled<T: PartialEq + std::fmt::Debug>(
    deadline: Duration,
    what: impl Display,
    expected: T,
    mut look: impl AsyncFnMut() -> T,
) {
    let started = Instant::now();
    loop {
        let seen = look().await;
        if seen == expected {
            return;
        }
        let waited = deadline.as_secs_f32();
        assert!(
            started.elapsed() < deadline,
            "waited {waited} s in vain for {what}: expected {expected:?}, last seen {seen:?}"
        );
        tokio::time::sleep(PAUSE).await;
    }
}
