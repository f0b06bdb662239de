//! Where PostgreSQL is.

use super::reader::Reader;
use super::secret::Secret;
use super::setting::Setting;

const DATABASE_URL: Setting =
    Setting::secret("DATABASE_URL", "PostgreSQL, as `postgres://user:password@host:port/database`.");
const DATABASE_POOL_MAX: Setting = Setting::new(
    "DATABASE_POOL_MAX",
    "10",
    "The most connections this process opens to PostgreSQL, beside the six that a relay holds.",
);

pub(super) const SETTINGS: &[&Setting] = &[&DATABASE_URL, &DATABASE_POOL_MAX];

/// The database of a program.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// The connection URL.
    pub url: Secret,
    /// The most connections the pool opens.
    pub pool_max: u32,
}

impl DatabaseConfig {
    /// Reads the section.
    pub fn read(reader: &mut Reader) -> Self {
        let url = reader.required(&DATABASE_URL);
        let scheme = url.split("://").next().unwrap_or_default();
        if !url.is_empty() && !["postgres", "postgresql"].contains(&scheme) {
            reader.problem("DATABASE_URL: must begin with postgres://");
        }
        Self { url: Secret::new(url), pool_max: reader.at_least(&DATABASE_POOL_MAX, 2) }
    }
}
