//! Of what kind an attempt's error was: what follows depends on it, and operators look for it.

/// As `job_runs.error_kind` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The job failed, and may succeed the next time.
    Passing,
    /// The job failed, and would fail the same way every time.
    Lasting,
    /// The job panicked.
    Panicked,
    /// Its time was over.
    TimedOut,
    /// The build that claimed it has no such job; another one may.
    UnknownJob,
    /// Its worker let the lease run out.
    LeaseLost,
    /// Somebody wanted it to end.
    Canceled,
}

impl ErrorKind {
    /// As the table has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Lasting => "lasting",
            Self::Panicked => "panicked",
            Self::TimedOut => "timed_out",
            Self::UnknownJob => "unknown_job",
            Self::LeaseLost => "lease_lost",
            Self::Canceled => "canceled",
        }
    }

    /// Whether another attempt makes sense.
    pub const fn may_pass(self) -> bool {
        !matches!(self, Self::Lasting | Self::Canceled)
    }
}
