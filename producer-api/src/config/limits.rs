//! How many wrong passwords are looked at before a client must wait, and how many mails may be asked for.

use std::time::Duration;

use shared::config::{Reader, Setting};

const LOGIN_FAILURES_PER_ACCOUNT: Setting = Setting::new(
    "LOGIN_FAILURES_PER_ACCOUNT",
    "10",
    "How many wrong passwords one account, or one name of nobody, may have in `LOGIN_FAILURE_WINDOW` before it must wait; \
     0: any number.",
);
const LOGIN_FAILURES_PER_ADDRESS: Setting = Setting::new(
    "LOGIN_FAILURES_PER_ADDRESS",
    "100",
    "How many wrong passwords may come from one client address (IPv6: one /64) in `LOGIN_FAILURE_WINDOW` before it must \
     wait; 0: any number.",
);
const LOGIN_FAILURE_WINDOW: Setting = Setting::new(
    "LOGIN_FAILURE_WINDOW",
    "15m",
    "How long wrong passwords are counted together, and how long after the last wait they are forgotten; 1m to 1d.",
);
const LOGIN_DELAY_FIRST: Setting = Setting::new(
    "LOGIN_DELAY_FIRST",
    "1s",
    "The first wait, for which every login of that account or address is 429; each further wrong password doubles it.",
);
const LOGIN_DELAY_MAX: Setting =
    Setting::new("LOGIN_DELAY_MAX", "15m", "The longest wait; at most 1d. Nobody is shut out for ever.");
const MAIL_REQUESTS_PER_ADDRESS: Setting = Setting::new(
    "MAIL_REQUESTS_PER_ADDRESS",
    "600",
    "How many requests that have a mail sent (to register, to choose another password, for another link) may come from one \
     client address (IPv6: one /64) in `MAIL_REQUEST_WINDOW`; those beyond are 429, but for so many spread over the window. \
     0: any number.",
);
const MAIL_REQUESTS_PER_RECIPIENT: Setting = Setting::new(
    "MAIL_REQUESTS_PER_RECIPIENT",
    "5",
    "How many such requests for one mail address, and how many for another address by one user, have a mail sent in \
     `MAIL_REQUEST_WINDOW`, each purpose apart; of those beyond one in five minutes. The answers do not tell. 0: any number.",
);
const MAIL_REQUEST_WINDOW: Setting = Setting::new(
    "MAIL_REQUEST_WINDOW",
    "1h",
    "How long requests for mails are counted together, and how long after the last wait they are forgotten; 1m to 1d.",
);

pub(super) const SETTINGS: &[&Setting] = &[
    &LOGIN_FAILURES_PER_ACCOUNT,
    &LOGIN_FAILURES_PER_ADDRESS,
    &LOGIN_FAILURE_WINDOW,
    &LOGIN_DELAY_FIRST,
    &LOGIN_DELAY_MAX,
    &MAIL_REQUESTS_PER_ADDRESS,
    &MAIL_REQUESTS_PER_RECIPIENT,
    &MAIL_REQUEST_WINDOW,
];

/// The job `purge-expired-tokens` deletes what is a day older than its last wait: no count may last longer.
const LONGEST: Duration = Duration::from_hours(24);

/// How many wrong passwords are looked at, and how many mails may be asked for.
#[derive(Debug, Clone)]
pub struct LimitsConfig {
    /// For one name; 0: any number.
    pub failures_per_account: u32,
    /// From one address; 0: any number.
    pub failures_per_address: u32,
    /// How long they are counted together.
    pub window: Duration,
    /// The first wait.
    pub delay_first: Duration,
    /// The longest.
    pub delay_max: Duration,
    /// How many requests for mails may come from one address; 0: any number.
    pub mail_requests_per_address: u32,
    /// How many requests for one mail address have a mail sent; 0: any number.
    pub mail_requests_per_recipient: u32,
    /// How long requests for mails are counted together.
    pub mail_request_window: Duration,
}

impl LimitsConfig {
    /// Reads the section.
    pub fn read(reader: &mut Reader) -> Self {
        let config = Self {
            failures_per_account: reader.at_least(&LOGIN_FAILURES_PER_ACCOUNT, 0),
            failures_per_address: reader.at_least(&LOGIN_FAILURES_PER_ADDRESS, 0),
            window: reader.duration(&LOGIN_FAILURE_WINDOW),
            delay_first: reader.duration(&LOGIN_DELAY_FIRST),
            delay_max: reader.duration(&LOGIN_DELAY_MAX),
            mail_requests_per_address: reader.at_least(&MAIL_REQUESTS_PER_ADDRESS, 0),
            mail_requests_per_recipient: reader.at_least(&MAIL_REQUESTS_PER_RECIPIENT, 0),
            mail_request_window: reader.duration(&MAIL_REQUEST_WINDOW),
        };
        for (setting, window) in
            [(&LOGIN_FAILURE_WINDOW, config.window), (&MAIL_REQUEST_WINDOW, config.mail_request_window)]
        {
            // One that can't be read is zero, and told already.
            if !window.is_zero() && !(Duration::from_mins(1)..=LONGEST).contains(&window) {
                reader.problem(format!("{}: from a minute to a day", setting.name));
            }
        }
        if config.delay_max > LONGEST {
            reader.problem("LOGIN_DELAY_MAX: more than a day is too long");
        }
        if config.delay_first > config.delay_max && !config.delay_max.is_zero() {
            reader.problem("LOGIN_DELAY_FIRST: longer than LOGIN_DELAY_MAX");
        }
        config
    }
}
