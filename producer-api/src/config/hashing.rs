//! How passwords are hashed.

use shared::config::{Reader, Setting};

const HASHING_PERMITS: Setting = Setting::optional(
    "HASHING_PERMITS",
    "How many passwords are hashed at once, 19 MiB of memory each; as many as the machine has cores if not set.",
);
const HASHING_MEMORY_MIB: Setting = Setting::optional(
    "HASHING_MEMORY_MIB",
    "How much memory all password hashes together may take, in MiB, at least 19. Hashes from Django may need 100 each. \
     19 for each of `HASHING_PERMITS`, but no less than 128, if not set.",
);
const HASHING_QUEUE: Setting = Setting::new(
    "HASHING_QUEUE",
    "512",
    "How many requests may wait for a permit; those beyond are answered 503 with `Retry-After` at once.",
);

/// What a password hash of ours needs.
const HASH_MIB: u32 = 19;
/// Enough for one argon2 hash of Django's beside ours.
const MEMORY_MIB_DEFAULT: u32 = 128;

pub(super) const SETTINGS: &[&Setting] = &[&HASHING_PERMITS, &HASHING_MEMORY_MIB, &HASHING_QUEUE];

/// How passwords are hashed.
#[derive(Debug, Clone)]
pub struct HashingConfig {
    /// How many at once.
    pub permits: usize,
    /// How much memory they may take together, in MiB.
    pub memory_mib: u32,
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
        let memory_mib = match reader.optional(&HASHING_MEMORY_MIB) {
            None => {
                u32::try_from(permits).unwrap_or(u32::MAX).saturating_mul(HASH_MIB).max(MEMORY_MIB_DEFAULT)
            }
            Some(_) => reader.at_least(&HASHING_MEMORY_MIB, HASH_MIB),
        };
        Self { permits, memory_mib, queue: reader.at_least(&HASHING_QUEUE, 1) }
    }
}
