//! How many sessions a user may have, how refresh tokens may be used twice, and how access tokens end early.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use shared::config::{Reader, Setting};

const SESSION_POLICY: Setting = Setting::new(
    "SESSION_POLICY",
    "replace",
    "How many active sessions a user may have: `replace` (one, the newest), `reject` (one, the oldest: a further login is \
     409), `limit:n` (the newest n) or `unlimited`.",
);
const ACCESS_TOKEN_REVOCATION: Setting = Setting::new(
    "ACCESS_TOKEN_REVOCATION",
    "session",
    "`session`: an access token ends with its session, on every replica within 2 s at the worst. `none`: it is good until \
     it expires, and tokens carry no `sid`, as SimpleJWT's.",
);
const REFRESH_REUSE: Setting = Setting::new(
    "REFRESH_REUSE",
    "end_session",
    "What follows when a rotated refresh token is used again later: `end_session`, or `refuse` it and nothing more.",
);
const REFRESH_GRACE_SECONDS: Setting = Setting::new(
    "REFRESH_GRACE_SECONDS",
    "10",
    "How long after the first use of a rotated refresh token a second one gets the same successor (two tabs, a lost \
     answer); 0: not at all.",
);
const SESSION_LIFETIME_MAX: Setting = Setting::new(
    "SESSION_LIFETIME_MAX",
    "0",
    "How long a session lasts at the most, counted from its login, however often its tokens are refreshed; 0: as long as \
     they are.",
);
const LOGIN_FAILURE_FLOOR: Setting = Setting::new(
    "LOGIN_FAILURE_FLOOR",
    "600ms",
    "While hashes imported from Django remain, a refused login is answered no sooner than this, so that its time does not \
     tell whose hash is whose. 0: at once.",
);

const REQUIRE_VERIFIED_EMAIL: Setting = Setting::new(
    "REQUIRE_VERIFIED_EMAIL",
    "false",
    "Whether a login is refused, like any other, while the account's e-mail address is not verified.",
);

pub(super) const SETTINGS: &[&Setting] = &[
    &SESSION_POLICY,
    &ACCESS_TOKEN_REVOCATION,
    &REFRESH_REUSE,
    &REFRESH_GRACE_SECONDS,
    &SESSION_LIFETIME_MAX,
    &LOGIN_FAILURE_FLOOR,
    &REQUIRE_VERIFIED_EMAIL,
];

/// How many active sessions a user may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SessionPolicy {
    /// One: a login ends the one before.
    #[default]
    Replace,
    /// One: a login is refused while there is one.
    Reject,
    /// So many: a login ends the oldest.
    Limit(u16),
    /// Any number.
    Unlimited,
}

impl FromStr for SessionPolicy {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "replace" => Ok(Self::Replace),
            "reject" => Ok(Self::Reject),
            "unlimited" => Ok(Self::Unlimited),
            _ => {
                let number = text.strip_prefix("limit:").and_then(|number| number.parse().ok());
                // A slot is a PostgreSQL smallint.
                number.filter(|number| (1..=32_767).contains(number)).map(Self::Limit).ok_or(())
            }
        }
    }
}

/// Whether an access token can end before it expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccessTokenRevocation {
    /// With its session.
    #[default]
    Session,
    /// Never, as SimpleJWT's.
    None,
}

impl FromStr for AccessTokenRevocation {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "session" => Ok(Self::Session),
            "none" => Ok(Self::None),
            _ => Err(()),
        }
    }
}

/// What follows when a rotated refresh token is used again too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RefreshReuse {
    /// Its session ends.
    #[default]
    EndSession,
    /// It is refused, as SimpleJWT does.
    Refuse,
}

impl FromStr for RefreshReuse {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "end_session" => Ok(Self::EndSession),
            "refuse" => Ok(Self::Refuse),
            _ => Err(()),
        }
    }
}

/// What SimpleJWT never had.
#[derive(Debug, Clone)]
pub struct SessionsConfig {
    /// How many sessions.
    pub policy: SessionPolicy,
    /// Whether access tokens end with them.
    pub revocation: AccessTokenRevocation,
    /// What reuse leads to.
    pub reuse: RefreshReuse,
    /// How long a second use is forgiven.
    pub grace: Duration,
    /// How long a session lasts at the most; zero if nothing but its tokens limits it.
    pub lifetime_max: Duration,
    /// The least time a refused login takes while imported hashes remain.
    pub failure_floor: Duration,
    /// Whether a login needs a verified address.
    pub require_verified_email: bool,
}

impl Default for SessionsConfig {
    fn default() -> Self {
        Self {
            policy: SessionPolicy::default(),
            revocation: AccessTokenRevocation::default(),
            reuse: RefreshReuse::default(),
            grace: Duration::from_secs(10),
            lifetime_max: Duration::ZERO,
            failure_floor: Duration::from_millis(600),
            require_verified_email: false,
        }
    }
}

impl SessionsConfig {
    /// Whether tokens say which session they belong to, and are refused once it is over. Where they don't, Warren is
    /// SimpleJWT: a session is what operators read, and neither its end nor a changed password refuses an access token.
    pub fn tokens_carry_session(&self) -> bool {
        self.revocation == AccessTokenRevocation::Session
    }

    /// When a session that began at `login_time` is over, whatever its tokens say; none if there is no limit.
    pub fn ends_at(&self, login_time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.lifetime_limit().and_then(|lifetime| login_time.checked_add_signed(lifetime))
    }

    /// Sessions that began no later than this have lasted as long as they may at `now`; none if there is no limit.
    pub fn outlived_since(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.lifetime_limit().and_then(|lifetime| now.checked_sub_signed(lifetime))
    }

    fn lifetime_limit(&self) -> Option<TimeDelta> {
        TimeDelta::from_std(self.lifetime_max).ok().filter(|lifetime| !lifetime.is_zero())
    }

    /// Reads the section.
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            policy: reader
                .parsed(&SESSION_POLICY, "replace, reject, limit:n (n from 1 to 32767) or unlimited"),
            revocation: reader.parsed(&ACCESS_TOKEN_REVOCATION, "session or none"),
            reuse: reader.parsed(&REFRESH_REUSE, "end_session or refuse"),
            grace: at_most(reader, &REFRESH_GRACE_SECONDS, Duration::from_hours(1), "an hour"),
            lifetime_max: at_most(
                reader,
                &SESSION_LIFETIME_MAX,
                Duration::from_hours(24 * 3_650),
                "ten years",
            ),
            failure_floor: at_most(reader, &LOGIN_FAILURE_FLOOR, Duration::from_mins(1), "a minute"),
            require_verified_email: reader.boolean(&REQUIRE_VERIFIED_EMAIL),
        }
    }
}

fn at_most(reader: &mut Reader, setting: &Setting, max: Duration, in_words: &str) -> Duration {
    let duration = reader.duration_or_zero(setting);
    if duration > max {
        reader.problem(format!("{}: more than {in_words} is too long", setting.name));
        return max;
    }
    duration
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_one_of_four_and_a_limit_is_a_number_above_zero() {
        assert_eq!("limit:3".parse(), Ok(SessionPolicy::Limit(3)));
        assert_eq!("reject".parse(), Ok(SessionPolicy::Reject));
        for text in ["limit:0", "limit:", "limit:-1", "limit:40000", "Replace", "", "limit"] {
            assert_eq!(text.parse::<SessionPolicy>(), Err(()), "{text}");
        }
    }
}
