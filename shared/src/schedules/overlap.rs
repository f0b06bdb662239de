//! Runs of one schedule beside each other.

/// What becomes of an instant while another run of its schedule is not over: queued, running or waiting for another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// It is run, too, perhaps beside the other.
    Allow,
    /// It is skipped, and lies in a gap.
    Skip,
    /// One waits until the other is over; further ones are skipped.
    Queue,
}

impl Overlap {
    /// As `job_schedules.overlap` has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Skip => "skip",
            Self::Queue => "queue",
        }
    }

    /// How many runs of a schedule may be there that are not over; none: any number.
    pub fn unfinished_max(name: &str) -> Option<usize> {
        match name {
            "skip" => Some(1),
            "queue" => Some(2),
            _ => None,
        }
    }
}
