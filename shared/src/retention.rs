//! How long the audit trail is kept. The database has the same figures (`audit.kept_for()`, `audit.dropped_after()`), since
//! it drops nothing before them, whoever asks; a test holds the two together.

use chrono::TimeDelta;

/// How long an event is kept at the least. The consumer sets aside what is older: its row may be gone, and with it the
/// memory that it was there.
pub const RETENTION: TimeDelta = TimeDelta::days(400);
/// How long after its last instant a partition is dropped. Later than [`RETENTION`], by more than machines' clocks differ and
/// a batch waits for the database: whatever the consumer still records finds the row that it wrote the first time.
pub const DROPPED_AFTER: TimeDelta = TimeDelta::days(402);
