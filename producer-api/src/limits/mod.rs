//! How often a secret may be guessed: wrong ones are counted for each name and each address, and then it has to wait.
//!
//! Whoever looks at a secret that a client sent does so between two calls:
//!
//! ```text
//! let tried = Tried { username: "ada", user_id: Some(id), asked: Asked::ToLogIn };
//! let mut reservation = limits::reserve(&state, &context, tried).await?;   // 429, or 503, or the try is counted
//! let result = … the check; in the transaction that records it:
//!     reservation.settle(&state, &context, &mut transaction, Verdict::Right or Verdict::Wrong).await?;
//! if result.is_err() {
//!     reservation.give_back(&state).await;   // nothing, if it was settled
//! }
//! ```
//!
//! The try is counted before the secret is looked at (`rule` says how), in a short transaction of its own, and nothing is
//! held while the password is hashed. A reservation that is neither settled nor given back, because the client went away
//! or the program died, counts as wrong a minute later; until then it takes the place of a try under way.
//!
//! Mails that are asked for are counted by the same rule (`mails`), and never taken back.
//!
//! This room doesn't know what the secret is, nor what a right one opens.

mod keys;
mod list;
mod mails;
mod refused;
mod reserve;
mod rule;
mod settle;
mod store;
mod unlock;

use std::sync::Arc;

use chrono::TimeDelta;
use tokio::sync::Semaphore;

use crate::config::LimitsConfig;
use keys::Kind;
use rule::Rule;

pub use keys::network;
pub use list::{Limit, list};
pub use mails::{Asker, MailRequest};
pub use refused::RefusedTries;
pub use reserve::{Asked, LimitError, Tried, note_refused, reserve};
pub use settle::{Reservation, Verdict, tried_name};
pub use unlock::{Cleared, UnlockError, clear_address, clear_all, clear_name, unlock, unlock_locked};

/// How many tries of this process may wait for others to end; those beyond are refused at once.
const WAITING_MAX: usize = 256;

/// How many of this process are counted at once: each holds a connection, and those of one name or address wait for one
/// another.
const ENTERING_MAX: usize = 3;
/// How many mails of this process are counted at once, beside those tries.
const COUNTING_MAILS_MAX: usize = 2;

/// The limits in force. Clones share who waits and what was refused.
#[derive(Debug, Clone)]
pub struct Limits {
    account: Option<Rule>,
    address: Option<Rule>,
    mails_from: Option<Rule>,
    mails_to: Option<Rule>,
    entering: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    counting_mails: Arc<Semaphore>,
    /// Counts tries that were refused; told every few seconds.
    pub refused: RefusedTries,
}

impl Limits {
    /// The limits that `config` wants.
    pub fn new(config: &LimitsConfig) -> Self {
        let rule = |failures_max| {
            (failures_max > 0).then(|| Rule {
                failures_max,
                window: TimeDelta::from_std(config.window).unwrap_or(TimeDelta::MAX),
                delay_first: config.delay_first,
                delay_max: config.delay_max,
            })
        };
        Self {
            account: rule(config.failures_per_account),
            address: rule(config.failures_per_address),
            mails_from: mails::rule_from(config),
            mails_to: mails::rule_to(config),
            entering: Arc::new(Semaphore::new(ENTERING_MAX)),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            counting_mails: Arc::new(Semaphore::new(COUNTING_MAILS_MAX)),
            refused: RefusedTries::default(),
        }
    }

    fn rule_of_secrets(&self, kind: Kind) -> Option<Rule> {
        match kind {
            Kind::Account => self.account,
            Kind::Address => self.address,
            Kind::MailAsker | Kind::MailRecipient => None,
        }
    }
}
