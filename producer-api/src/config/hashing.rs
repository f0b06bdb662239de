//! How passwords are hashed.

use shared::config::{Reader, Setting};

const HASHING_PERMITS: Setting = Setting::optional(
    "HASHING_PERMITS",
    "How many passwords are hashed at once, 19 MiB of memory each; as many as the machine has cores if not set.",
);
const HASHING_QUEUE: Setting = Setting::new(
    "HASHING_QUEUE",
    "512",
    "How many requests may wait for a permit; those beyond are answered 503 with `Retry-After` at once.",
);

pub(super) const SETTINGS: &[&Setting] = &[&HASHING_PERMITS, &HASHING_QUEUE];

/// How passwords are hashed.
#[derive(Debug, Clone)]
pub struct HashingConfig {
    /// How many at once.
    pub permits: usize,
    /// How many may wait.
    pub queue: usize,
}

impl HashingConfig {
    /// Reads the section.
    pub fn read(reader: &mut Reader) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let permits = match reader.optional(&HASHING_PERMITS) {
            None => cores,
            Some(_) => reader.at_least(&HASHING_PERMITS, 1),
        };
        Self { permits, queue: reader.at_least(&HASHING_QUEUE, 1) }
    }
}
