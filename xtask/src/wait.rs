//! Waiting for a condition with a deadline: the only place of the developer commands that sleeps.

use std::{
    fmt::Display,
    thread,
    time::{Duration, Instant},
};

use anyhow::bail;

use crate::interrupt;

/// Calls `attempt` until it gives a value, and fails after `patience` with a sentence that names `what` was awaited.
///
/// An error of `attempt` ends the waiting at once, and so does a Ctrl-C (see [`interrupt`]).
pub fn until<T>(
    patience: Duration,
    what: impl Display,
    mut attempt: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let outcome = poll(patience, || {
        interrupt::check()?;
        attempt()
    })?;
    match outcome {
        Some(value) => Ok(value),
        None => bail!("waited {} s in vain for {what}", patience.as_secs()),
    }
}

/// Waits up to `patience` for `ended` to become true while stopping things; a first Ctrl-C doesn't end the waiting,
/// since it is often the reason for stopping, but a second one does.
pub fn for_the_end(patience: Duration, mut ended: impl FnMut() -> bool) -> bool {
    let outcome = poll(patience, || {
        if ended() {
            return Ok(Some(true));
        }
        Ok(interrupt::insisted().then_some(false))
    });
    matches!(outcome, Ok(Some(true)))
}

/// Lets a short moment pass in a loop that has nothing to wait for, such as one following a file.
#[expect(
    clippy::disallowed_methods,
    reason = "the developer commands poll other processes, which signal nothing"
)]
pub fn a_moment(length: Duration) {
    thread::sleep(length);
}

fn poll<T>(
    patience: Duration,
    mut attempt: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<Option<T>> {
    let deadline = Instant::now() + patience;
    let mut pause = Duration::from_millis(5);
    loop {
        if let Some(value) = attempt()? {
            return Ok(Some(value));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        a_moment(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_ends_the_waiting() {
        let mut tries = 0;
        let value = until(Duration::from_secs(5), "the third try", || {
            tries += 1;
            Ok((tries == 3).then_some("here"))
        });
        assert_eq!(value.unwrap(), "here");
    }

    #[test]
    fn the_deadline_names_what_was_awaited() {
        let error = until::<()>(Duration::ZERO, "a miracle", || Ok(None)).unwrap_err();
        assert_eq!(error.to_string(), "waited 0 s in vain for a miracle");
    }

    #[test]
    fn an_error_ends_the_waiting_at_once() {
        let error = until::<()>(Duration::from_mins(1), "nothing", || bail!("broken")).unwrap_err();
        assert_eq!(error.to_string(), "broken");
    }
}
