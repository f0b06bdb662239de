//! Waiting for what should happen, with a deadline, never for a fixed time.

use std::fmt::{Debug, Display};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

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
pub async fn settled<T: PartialEq + Debug>(
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
            "waited {waited} s in vain for {what}: expected {}, last seen {}",
            in_short(&expected),
            in_short(&seen),
        );
        tokio::time::sleep(PAUSE).await;
    }
}

/// Fails the test unless both hold the same ids, each once; says which are missing, which are too many.
#[track_caller]
pub fn assert_same_ids(
    what: impl Display,
    found: impl IntoIterator<Item = Uuid>,
    expected: impl IntoIterator<Item = Uuid>,
) {
    let (mut found, mut expected): (Vec<_>, Vec<_>) =
        (found.into_iter().collect(), expected.into_iter().collect());
    found.sort();
    expected.sort();
    if found == expected {
        return;
    }
    let lacks = |all: &[Uuid], id: &Uuid| all.binary_search(id).is_err();
    let missing: Vec<_> = expected.iter().filter(|id| lacks(&found, id)).collect();
    let foreign: Vec<_> = found.iter().filter(|id| lacks(&expected, id)).collect();
    panic!(
        "{what}: {} ids where {} were expected; {} are missing ({}), {} are foreign ({})",
        found.len(),
        expected.len(),
        missing.len(),
        in_short(&missing),
        foreign.len(),
        in_short(&foreign),
    );
}

/// A value's debug text, cut: thousands of ids help nobody.
fn in_short(value: &impl Debug) -> String {
    const CHARACTERS_MAX: usize = 400;
    let text = format!("{value:?}");
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}
