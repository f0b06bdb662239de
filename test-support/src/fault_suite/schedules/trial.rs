//! The schedules of a run, and what becomes of each attempt. Pure.
//!
//! When each is due is said twice: as the line that the scheduler reads, and as a rule over the seconds since 1970 that knows
//! nothing of how it reads it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use shared::entropy::Entropy;
use uuid::Uuid;

/// When the one is due that is due once: 2026-01-01T00:00:00Z.
const ONCE: i64 = 1_767_225_600;

/// A schedule, and the job that bears its key.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    /// Its key.
    pub key: &'static str,
    /// When it is due, as the scheduler reads it.
    pub timetable: &'static str,
    /// When it is due.
    pub due: Due,
    /// How much later it may be due.
    pub jitter: Duration,
    /// What becomes of an instant while another run is not over.
    pub overlap: Overlap,
    /// How many late instants are run.
    pub catch_up_max: i32,
    /// How old they may be.
    pub catch_up_window: Duration,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// How often a run is tried.
    pub attempts_max: i32,
    /// How long an attempt takes, in milliseconds: at least, at most.
    pub takes: (u64, u64),
    /// How many attempts in a hundred go wrong, and how.
    pub goes_wrong: GoesWrong,
}

/// A rule over the seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Each that so many divide.
    Every(i64),
    /// Each whose second of the minute so many divide.
    OfTheMinute(i64),
    /// That one.
    Once(i64),
}

/// As `job_schedules.overlap` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// Runs may be side by side.
    Allow,
    /// An instant is skipped.
    Skip,
    /// One waits.
    Queue,
}

impl Overlap {
    /// As the table has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Skip => "skip",
            Self::Queue => "queue",
        }
    }
}

/// How many attempts in a hundred.
#[derive(Debug, Clone, Copy, Default)]
pub struct GoesWrong {
    /// Fail.
    pub fails: u8,
    /// Panic.
    pub panics: u8,
    /// Go on until their time is over.
    pub overruns: u8,
}

/// What becomes of an attempt that nobody disturbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It does what it should.
    Succeeds,
    /// It says that it failed.
    Fails,
    /// It panics.
    Panics,
    /// It goes on until its time is over.
    Overruns,
}

/// One that is short, in time or not at all, and never goes wrong.
const PLAIN: Trial = Trial {
    key: "secondly",
    timetable: "every 1s",
    due: Due::Every(1),
    jitter: Duration::ZERO,
    overlap: Overlap::Allow,
    catch_up_max: 0,
    catch_up_window: Duration::from_mins(5),
    timeout: Duration::from_secs(10),
    attempts_max: 3,
    takes: (50, 300),
    goes_wrong: GoesWrong { fails: 0, panics: 0, overruns: 0 },
};

/// All of them.
pub const TRIALS: [Trial; 12] = [
    PLAIN,
    Trial {
        key: "two-secondly",
        timetable: "every 2s",
        due: Due::Every(2),
        catch_up_max: 1,
        goes_wrong: GoesWrong { fails: 20, panics: 0, overruns: 0 },
        ..PLAIN
    },
    Trial {
        key: "seven-secondly",
        timetable: "every 7s",
        due: Due::Every(7),
        catch_up_max: 100,
        takes: (200, 2_000),
        goes_wrong: GoesWrong { fails: 10, panics: 20, overruns: 0 },
        ..PLAIN
    },
    Trial {
        key: "by-cron",
        timetable: "*/3 * * * * *",
        due: Due::OfTheMinute(3),
        catch_up_max: 5,
        catch_up_window: Duration::from_secs(30),
        goes_wrong: GoesWrong { fails: 10, panics: 10, overruns: 0 },
        ..PLAIN
    },
    Trial {
        key: "late-by-design",
        timetable: "every 5s",
        due: Due::Every(5),
        jitter: Duration::from_secs(9),
        catch_up_max: 100,
        ..PLAIN
    },
    Trial {
        key: "skips",
        timetable: "every 2s",
        due: Due::Every(2),
        overlap: Overlap::Skip,
        takes: (1_500, 4_500),
        goes_wrong: GoesWrong { fails: 10, panics: 5, overruns: 0 },
        ..PLAIN
    },
    Trial {
        key: "queues",
        timetable: "every 5s",
        due: Due::Every(5),
        overlap: Overlap::Queue,
        catch_up_max: 3,
        takes: (4_000, 7_000),
        goes_wrong: GoesWrong { fails: 10, panics: 5, overruns: 0 },
        ..PLAIN
    },
    Trial {
        key: "overruns",
        timetable: "every 6s",
        due: Due::Every(6),
        overlap: Overlap::Skip,
        catch_up_max: 1,
        timeout: Duration::from_secs(2),
        attempts_max: 2,
        takes: (200, 1_000),
        goes_wrong: GoesWrong { fails: 0, panics: 0, overruns: 40 },
        ..PLAIN
    },
    Trial { key: PAUSED, timetable: "every 2s", due: Due::Every(2), catch_up_max: 100, ..PLAIN },
    Trial {
        key: "once",
        timetable: "at 2026-01-01T00:00:00Z",
        due: Due::Once(ONCE),
        takes: (3_000, 4_000),
        ..PLAIN
    },
    // These take longer than a lease, which is renewed all the time or lost in the middle.
    Trial {
        key: "long-and-queues",
        timetable: "every 20s",
        due: Due::Every(20),
        overlap: Overlap::Queue,
        catch_up_max: 1,
        timeout: Duration::from_secs(90),
        attempts_max: 5,
        takes: (35_000, 50_000),
        goes_wrong: GoesWrong { fails: 10, panics: 0, overruns: 0 },
        ..PLAIN
    },
    Trial {
        key: "long-side-by-side",
        timetable: "every 10s",
        due: Due::Every(10),
        catch_up_max: 1,
        timeout: Duration::from_secs(90),
        attempts_max: 5,
        takes: (35_000, 50_000),
        ..PLAIN
    },
];

/// The one that is paused in the middle of a run.
pub const PAUSED: &str = "paused-for-a-while";

impl Trial {
    /// The instants later than `after` and not later than `until`.
    pub fn instants(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let is_due = |second: &i64| match self.due {
            Due::Every(seconds) => second % seconds == 0,
            Due::OfTheMinute(seconds) => second % 60 % seconds == 0,
            Due::Once(instant) => *second == instant,
        };
        let seconds = match self.due {
            Due::Once(instant) => instant..=instant,
            _ => after.timestamp()..=until.timestamp(),
        };
        let instants = seconds.filter(is_due).filter_map(|second| DateTime::from_timestamp(second, 0));
        instants.filter(|instant| *instant > after && *instant <= until).collect()
    }

    /// How much later than its instants it may be due.
    pub fn jitter(&self) -> TimeDelta {
        TimeDelta::from_std(self.jitter).unwrap_or_default()
    }

    /// Whether no two of its runs may be under way at once.
    pub fn is_exclusive(&self) -> bool {
        self.overlap != Overlap::Allow
    }

    /// What becomes of an attempt, and how long that takes: always the same of it.
    pub fn fate(&self, seed: u64, run: Uuid, attempt: i32) -> (Fate, Duration) {
        let (high, low) = run.as_u64_pair();
        let number = u64::from(attempt.unsigned_abs());
        let chance = Entropy::seeded(seed ^ high.rotate_left(7) ^ low ^ number.rotate_left(32));
        let drawn = u8::from_le_bytes(chance.bytes()) % 100;
        let GoesWrong { fails, panics, overruns } = self.goes_wrong;
        let fate = match drawn {
            drawn if drawn < fails => Fate::Fails,
            drawn if drawn < fails + panics => Fate::Panics,
            drawn if drawn < fails + panics + overruns => Fate::Overruns,
            _ => Fate::Succeeds,
        };
        let (least, most) = self.takes;
        let takes = Duration::from_millis(least) + chance.jitter(Duration::from_millis(most - least));
        (fate, if fate == Fate::Overruns { self.timeout * 10 } else { takes })
    }
}

/// The trial with a key.
pub fn trial(key: &str) -> Option<&'static Trial> {
    TRIALS.iter().find(|trial| trial.key == key)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        format!("2026-11-29T{text}Z").parse().unwrap()
    }

    #[test]
    fn an_instant_is_later_than_the_beginning_and_not_later_than_the_end() {
        let instants = |due, after, until| Trial { due, ..PLAIN }.instants(at(after), at(until)).len();
        assert_eq!(instants(Due::Every(1), "09:00:00", "09:00:10"), 10);
        assert_eq!(instants(Due::Every(1), "09:00:00.5", "09:00:10.9"), 10);
        assert_eq!(instants(Due::OfTheMinute(3), "08:59:59", "09:00:59"), 20);
        // 2026-11-29T09:00:00Z is 1795942800 of them, which twelve divide.
        assert_eq!(instants(Due::Every(12), "09:00:00", "09:01:00"), 5);
        assert_eq!(instants(Due::Once(ONCE), "08:00:00", "09:00:00"), 0);
        let once: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
        let found = Trial { due: Due::Once(ONCE), ..PLAIN }
            .instants(once - TimeDelta::microseconds(1), at("09:00:00"));
        assert_eq!(found, [once]);
    }

    #[test]
    fn every_fate_comes_up_and_stays_what_it_is() {
        let every = Trial { goes_wrong: GoesWrong { fails: 20, panics: 20, overruns: 20 }, ..PLAIN };
        let mut fates = HashSet::new();
        for number in 0..100 {
            let run = Uuid::from_u128(number);
            let (fate, takes) = every.fate(1, run, 1);
            assert_eq!(every.fate(1, run, 1), (fate, takes));
            assert!(fate == Fate::Overruns || takes.as_millis() <= u128::from(PLAIN.takes.1));
            assert!(fate != Fate::Overruns || takes > PLAIN.timeout);
            fates.insert(format!("{fate:?}"));
        }
        assert_eq!(fates.len(), 4);
    }

    #[test]
    fn keys_are_different_and_every_rule_is_there() {
        let keys: HashSet<&str> = TRIALS.iter().map(|trial| trial.key).collect();
        assert_eq!(keys.len(), TRIALS.len());
        for overlap in [Overlap::Allow, Overlap::Skip, Overlap::Queue] {
            assert!(TRIALS.iter().any(|trial| trial.overlap == overlap), "{overlap:?}");
        }
        for catch_up in [0, 1, 100] {
            assert!(TRIALS.iter().any(|trial| trial.catch_up_max == catch_up), "{catch_up}");
        }
    }
}
