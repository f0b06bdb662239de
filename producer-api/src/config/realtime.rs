//! How many live streams there may be.

use shared::config::{Reader, Setting};

const LIVE_SOCKETS_MAX: Setting = Setting::new(
    "LIVE_SOCKETS_MAX",
    "5000",
    "How many live streams (`/ws/tasks/`) may be open on this replica; further ones are 503. Of the 10000 connections that a \
     replica takes, they are to leave enough for requests: at most 9000.",
);
const LIVE_SOCKETS_PER_USER: Setting = Setting::new(
    "LIVE_SOCKETS_PER_USER",
    "20",
    "How many of them may be one user's; further ones are 429, or closed with 1013.",
);

pub(super) const SETTINGS: &[&Setting] = &[&LIVE_SOCKETS_MAX, &LIVE_SOCKETS_PER_USER];

/// More would leave no connection for requests.
const MOST: usize = 9_000;

/// How many live streams there may be.
#[derive(Debug, Clone)]
pub struct RealtimeConfig {
    /// On one replica.
    pub sockets_max: usize,
    /// Of one user on one replica.
    pub sockets_per_user: usize,
}

impl RealtimeConfig {
    /// Reads the section.
    pub fn read(reader: &mut Reader) -> Self {
        let sockets_max = reader.at_least(&LIVE_SOCKETS_MAX, 1);
        if sockets_max > MOST {
            reader.problem(format!("LIVE_SOCKETS_MAX: at most {MOST}"));
        }
        Self { sockets_max, sockets_per_user: reader.at_least(&LIVE_SOCKETS_PER_USER, 1) }
    }
}

impl Default for RealtimeConfig {
    /// What counts where nothing is set.
    fn default() -> Self {
        Self { sockets_max: 5_000, sockets_per_user: 20 }
    }
}
