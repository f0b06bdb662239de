//! What became of an attempt, in words. Pure.

use std::error::Error;
use std::time::Duration;

use shared::entropy::Entropy;

use super::retry_policy::{Next, after_failure};
use crate::jobs::{JobError, JobResult};

/// The most of an output that is kept, in bytes.
const OUTPUT_MAX: usize = 64 * 1024;
/// The most of an error.
const ERROR_MAX: usize = 4 * 1024;

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum End {
    /// The job came back.
    Finished(JobResult),
    /// It panicked; the words.
    Panicked(String),
    /// Its time was over.
    TimedOut(Duration),
    /// This build has no such job.
    UnknownJob(String),
}

/// What is to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It did what it should.
    Succeeded { output: String },
    /// It is tried again after a wait.
    Retry { wait: Duration, error: String },
    /// It is over.
    Failed { error: String },
}

impl Outcome {
    /// Judges the end of attempt `attempt` of at most `attempts_max`.
    pub(super) fn of(end: End, attempt: i32, attempts_max: i32, entropy: &Entropy) -> Self {
        let (error, lasting) = match end {
            End::Finished(Ok(output)) => return Self::Succeeded { output: bounded(&output, OUTPUT_MAX) },
            End::Finished(Err(error)) => (chain(&error), matches!(error, JobError::Lasting(_))),
            End::Panicked(words) => (format!("the job panicked: {words}"), false),
            End::TimedOut(limit) => {
                (format!("the job was not done within its {} s", limit.as_secs_f64()), false)
            }
            End::UnknownJob(key) => (format!("this build of the scheduler has no job {key:?}"), true),
        };
        let error = bounded(&error, ERROR_MAX);
        match after_failure(attempt, attempts_max, entropy) {
            Next::Retry(wait) if !lasting => Self::Retry { wait, error },
            _ => Self::Failed { error },
        }
    }
}

/// An error with all that lies beneath it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// At most `max` bytes of `text`, cut between characters, and saying so. PostgreSQL's text holds no NUL.
fn bounded(text: &str, max: usize) -> String {
    let text = text.replace('\0', "\u{fffd}");
    if text.len() <= max {
        return text;
    }
    let cut = text.floor_char_boundary(max);
    format!("{}\n… cut here: {cut} of {} bytes are kept\n", &text[..cut], text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(end: End, attempt: i32) -> Outcome {
        Outcome::of(end, attempt, 3, &Entropy::seeded(1))
    }

    fn passing() -> End {
        let error = std::io::Error::other("connection reset");
        End::Finished(Err(JobError::passing("the mail can't be sent")(error)))
    }

    #[test]
    fn what_may_pass_is_tried_again_until_the_attempts_are_used_up() {
        let Outcome::Retry { error, .. } = outcome(passing(), 2) else { panic!("attempts are left") };
        assert_eq!(error, "the mail can't be sent: connection reset");
        assert_eq!(outcome(passing(), 3), Outcome::Failed { error });
        assert!(matches!(outcome(End::TimedOut(Duration::from_secs(30)), 1), Outcome::Retry { .. }));
        assert!(matches!(outcome(End::Panicked("a fault".to_owned()), 1), Outcome::Retry { .. }));
    }

    #[test]
    fn what_can_only_fail_again_fails_at_once() {
        let lasting = End::Finished(Err(JobError::Lasting("no user_id".to_owned())));
        assert_eq!(outcome(lasting, 1), Outcome::Failed { error: "no user_id".to_owned() });
        let Outcome::Failed { error } = outcome(End::UnknownJob("gone".to_owned()), 1) else {
            panic!("no build of ours will ever know it better");
        };
        assert!(error.contains("\"gone\""));
    }

    #[test]
    fn an_output_is_cut_between_characters_and_says_so() {
        assert_eq!(bounded("short\0", 64), "short\u{fffd}");
        let cut = bounded(&"ä".repeat(50_000), 65_535);
        assert!(
            cut.starts_with('ä') && cut.ends_with("65534 of 100000 bytes are kept\n"),
            "{}",
            &cut[cut.len() - 60..]
        );
    }
}
