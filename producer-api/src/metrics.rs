//! What the API counts beside its requests, and what it tells of its parts when somebody asks.

use shared::contracts::auth::LoginFailure;
use shared::metrics::{Counters, Metrics, Sample};

use crate::credentials::HashingError;
use crate::fault::Fault;
use crate::sessions::{LogInError, LoggedIn};
use crate::state::AppState;

/// How a try to log in may end.
const OUTCOMES: [&str; 9] = [
    "succeeded",
    "unknown_user",
    "wrong_password",
    "disabled",
    "unverified",
    "limited",
    "session_active",
    "overloaded",
    "failed",
];

/// What is counted. Clones share it; the default one is counted by nobody.
#[derive(Debug, Clone)]
pub struct ApiMetrics {
    logins: Counters<1>,
}

impl ApiMetrics {
    /// Registers it.
    pub fn new(metrics: &Metrics) -> Self {
        let logins = metrics.counters(
            (
                "login_attempts",
                "Tries to log in, by how they ended; overloaded and failed ones were answered 5xx and say nothing of the \
                 password",
            ),
            ["outcome"],
            OUTCOMES.map(|outcome| [outcome]),
        );
        Self { logins }
    }

    /// Somebody was refused, and that is committed.
    pub fn login_refused(&self, reason: LoginFailure) {
        self.logins.of([reason_label(reason)]).inc();
    }

    /// A try to log in has ended; what [`ApiMetrics::login_refused`] was told of is not counted again.
    pub fn login(&self, result: &Result<LoggedIn, LogInError>) {
        let outcome = match result {
            Ok(_) => "succeeded",
            Err(LogInError::Refused) => return,
            Err(LogInError::SessionActive) => "session_active",
            Err(LogInError::Limited { .. }) => reason_label(LoginFailure::Limited),
            Err(LogInError::Fault(Fault::Hashing(HashingError::Overloaded))) => "overloaded",
            Err(LogInError::Fault(_)) => "failed",
        };
        self.logins.of([outcome]).inc();
    }
}

impl Default for ApiMetrics {
    fn default() -> Self {
        Self::new(&Metrics::default())
    }
}

/// Tells of the parts that know their own figures.
pub fn watch(metrics: &Metrics, state: &AppState) {
    let count = |number: usize| u32::try_from(number).ok().map(f64::from);
    let live = state.live.clone();
    metrics.sampled(
        "live_sockets",
        "Open live streams of tasks",
        [Sample::new([], move || count(live.sockets()))],
    );
    let (waiting, free) = (state.hasher.clone(), state.hasher.clone());
    metrics.sampled(
        "password_hashing_waiting",
        "Requests that wait for a place on the hashing pool",
        [Sample::new([], move || count(waiting.waiting()))],
    );
    metrics.sampled(
        "password_hashing_places_free",
        "Passwords that could be hashed at once beside those in hand",
        [Sample::new([], move || count(free.free_places()))],
    );
    let standings = state.standings.clone();
    metrics.sampled(
        "revocation_read_age_seconds",
        "How long ago it was read what ended or changed; beyond 2 every request asks the database; absent where nothing \
         is remembered or was read yet",
        [Sample::new([], move || standings.read_age().map(|age| age.as_secs_f64()))],
    );
}

fn reason_label(reason: LoginFailure) -> &'static str {
    match reason {
        LoginFailure::UnknownUser => "unknown_user",
        LoginFailure::WrongPassword => "wrong_password",
        LoginFailure::Disabled => "disabled",
        LoginFailure::Unverified => "unverified",
        LoginFailure::Limited => "limited",
    }
}
