//! What became of an attempt, in words. Pure.

use std::error::Error;
use std::time::Duration;

use shared::entropy::Entropy;

use super::error_kind::ErrorKind;
use super::retry_policy::{Next, RetryPolicy, after_failure};
use crate::jobs::{JobError, JobResult};

/// The most of an output that is kept, in bytes.
const OUTPUT_MAX: usize = 64 * 1024;
/// How often a run may come to builds that don't know its job: for about ten minutes.
const UNKNOWN_MAX: i32 = 20;
/// The longest wait between two of these.
const UNKNOWN_WAIT: Duration = Duration::from_mins(1);
/// The most of an error.
const ERROR_MAX: usize = 4 * 1024;

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum End {
    /// The job came back.
    Finished(JobResult),
    /// A worker of another program says that it failed.
    Reported {
        /// What went wrong, in its words.
        error: String,
        /// Whether every attempt would fail the same way.
        is_lasting: bool,
    },
    /// It panicked; the words.
    Panicked(String),
    /// Its time was over.
    TimedOut(Duration),
    /// This build has no such job.
    UnknownJob(String),
    /// Somebody wanted it to end; why.
    Canceled(String),
}

/// What is to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It did what it should.
    Succeeded { output: String },
    /// It is tried again after a wait.
    Retry {
        wait: Duration,
        error: String,
        kind: ErrorKind,
        /// Whether this attempt is one of those that it may have.
        counts: bool,
    },
    /// It is over.
    Failed { error: String, kind: ErrorKind },
}

impl Outcome {
    /// Judges the end of attempt `attempt`.
    pub(super) fn of(end: End, attempt: i32, policy: &RetryPolicy, entropy: &Entropy) -> Self {
        let (error, kind) = match end {
            End::Finished(Ok(output)) => return Self::Succeeded { output: bounded(&output, OUTPUT_MAX) },
            End::Finished(Err(error)) => {
                let is_lasting = matches!(error, JobError::Lasting(_));
                (chain(&error), if is_lasting { ErrorKind::Lasting } else { ErrorKind::Passing })
            }
            End::Reported { error, is_lasting } => {
                (error, if is_lasting { ErrorKind::Lasting } else { ErrorKind::Passing })
            }
            End::Panicked(words) => (format!("the job panicked: {words}"), ErrorKind::Panicked),
            End::TimedOut(limit) => {
                let words = format!("the job was not done within its {} s", limit.as_secs_f64());
                (words, ErrorKind::TimedOut)
            }
            End::UnknownJob(key) => {
                (format!("this build of the scheduler has no job {key:?}"), ErrorKind::UnknownJob)
            }
            End::Canceled(reason) => return Self::canceled(&reason),
        };
        let error = bounded(&error, ERROR_MAX);
        if kind == ErrorKind::UnknownJob && policy.attempts_uncounted < UNKNOWN_MAX {
            // While one build takes over from another, whoever has the job gets its chance.
            return Self::Retry { wait: entropy.jitter(UNKNOWN_WAIT), error, kind, counts: false };
        }
        match after_failure(attempt, policy, entropy) {
            Next::Retry(wait) if kind.may_pass() => Self::Retry { wait, error, kind, counts: true },
            _ => Self::Failed { error, kind },
        }
    }
}

impl Outcome {
    /// Where the run stands by it.
    pub(super) const fn state(&self) -> &'static str {
        match self {
            Self::Succeeded { .. } => "succeeded",
            Self::Retry { .. } => "retrying",
            Self::Failed { .. } => "failed",
        }
    }

    /// Somebody wanted it to end.
    pub(super) fn canceled(reason: &str) -> Self {
        Self::Failed { error: bounded(&format!("canceled: {reason}"), ERROR_MAX), kind: ErrorKind::Canceled }
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
        Outcome::of(end, attempt, &RetryPolicy::new((0, 0, 3), 5, 600), &Entropy::seeded(1))
    }

    fn passing() -> End {
        let error = std::io::Error::other("connection reset");
        End::Finished(Err(JobError::passing("the mail can't be sent")(error)))
    }

    #[test]
    fn what_may_pass_is_tried_again_until_the_attempts_are_used_up() {
        let Outcome::Retry { error, kind, .. } = outcome(passing(), 2) else { panic!("attempts are left") };
        assert_eq!(error, "the mail can't be sent: connection reset");
        assert_eq!(outcome(passing(), 3), Outcome::Failed { error, kind });
        assert!(matches!(outcome(End::TimedOut(Duration::from_secs(30)), 1), Outcome::Retry { .. }));
        assert!(matches!(outcome(End::Panicked("a fault".to_owned()), 1), Outcome::Retry { .. }));
        // Another build may know it, while one takes over from another.
        let Outcome::Retry { error, counts, .. } = outcome(End::UnknownJob("gone".to_owned()), 3) else {
            panic!("it has not come to many yet");
        };
        assert!(error.contains("\"gone\"") && !counts);
        let policy = RetryPolicy::new((0, UNKNOWN_MAX, UNKNOWN_MAX + 3), 5, 600);
        let unknown = || End::UnknownJob("gone".to_owned());
        let late = Outcome::of(unknown(), UNKNOWN_MAX + 3, &policy, &Entropy::seeded(1));
        assert!(matches!(late, Outcome::Failed { .. }));
    }

    #[test]
    fn what_can_only_fail_again_fails_at_once() {
        let lasting = End::Finished(Err(JobError::Lasting("no user_id".to_owned())));
        let kind = ErrorKind::Lasting;
        assert_eq!(outcome(lasting, 1), Outcome::Failed { error: "no user_id".to_owned(), kind });
        let (error, kind) = ("canceled: it is the wrong month".to_owned(), ErrorKind::Canceled);
        let canceled = End::Canceled("it is the wrong month".to_owned());
        assert_eq!(outcome(canceled, 1), Outcome::Failed { error, kind });
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
