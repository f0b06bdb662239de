//! Counting mails that are asked for, so that nobody has any number of them sent to others.
//!
//! Each request counts for whoever asks, a client's address or a user, and for the address that the mail goes to. Who asks
//! too often is told so: that says nothing about anybody else. Where an address was written to too often, nothing is told and
//! nothing is sent.

use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use shared::clock::Clock;
use shared::contracts::mail::MailPurpose;
use shared::ids::UserId;
use sqlx::PgPool;

use super::keys::{Key, Kind};
use super::reserve::{LimitError, TURN_WAIT_MAX, whole_seconds};
use super::rule::{Count, Rule};
use super::{Limits, store};
use crate::config::LimitsConfig;

/// How long after one beyond the limit the next mail goes to an address: by then every link that lets its reader choose a new
/// password has run out, so that whoever asks in his place again and again keeps him from nothing.
const SPACING: Duration = Duration::from_mins(5);
/// How often it is tried to count, because the purge took an old row at the same moment.
const TRIES_MAX: usize = 3;

/// Who asks for a mail.
#[derive(Debug, Clone, Copy)]
pub enum Asker {
    /// Whoever is at this address, if it is known.
    Stranger(Option<IpAddr>),
    /// A user who is signed in.
    User(UserId),
    /// Nobody: it is sent because of what a user did, and he is not kept from that.
    Nobody,
}

/// A request that has a mail sent.
#[derive(Debug, Clone, Copy)]
pub struct MailRequest<'a> {
    /// By whom.
    pub asker: Asker,
    /// To which address.
    pub recipient: &'a str,
    /// What for.
    pub purpose: MailPurpose,
}

/// Beyond the limit, one request in the time that a request has on the average.
pub(super) fn rule_from(config: &LimitsConfig) -> Option<Rule> {
    let requests_max = config.mail_requests_per_address;
    let share = config.mail_request_window.checked_div(requests_max)?;
    Some(rule(requests_max, config, share.max(Duration::from_secs(1))))
}

pub(super) fn rule_to(config: &LimitsConfig) -> Option<Rule> {
    let requests_max = config.mail_requests_per_recipient;
    (requests_max > 0).then(|| rule(requests_max, config, SPACING))
}

fn rule(failures_max: u32, config: &LimitsConfig, delay: Duration) -> Rule {
    let window = TimeDelta::from_std(config.mail_request_window).unwrap_or(TimeDelta::MAX);
    Rule { failures_max, window, delay_first: delay, delay_max: delay }
}

impl Limits {
    /// Counts a request for a mail, in a transaction of its own; whether the mail may be sent. If not, its caller does and
    /// answers the same, and sends nothing. The same is done whether or not anybody has the address.
    pub async fn count_mail(
        &self,
        (database, clock): (&PgPool, &Clock),
        request: MailRequest<'_>,
    ) -> Result<bool, LimitError> {
        let keys = self.keys_of_mail(request);
        if keys.is_empty() {
            return Ok(true);
        }
        let rows: Vec<&Key> = keys.iter().map(|(key, _)| key).collect();
        // A flood waits here and not for the rows, where it would hold every connection.
        let turn = tokio::time::timeout(TURN_WAIT_MAX, self.counting_mails.acquire()).await;
        let _turn = turn.map_err(|_| sqlx::Error::PoolTimedOut)?;
        let seen = {
            let mut connection = database.acquire().await?;
            store::read(&mut connection, &rows).await?
        };
        // One look suffices to refuse it.
        spend(&keys, &seen, clock.now())?;
        for _ in 0..TRIES_MAX {
            let mut transaction = database.begin().await?;
            store::insert_missing(&mut transaction, &rows, clock.now()).await?;
            let counts = store::lock(&mut transaction, &rows).await?;
            if counts.iter().all(Option::is_some) {
                let spent = spend(&keys, &counts, clock.now())?;
                store::write(&mut transaction, &spent.counts).await?;
                transaction.commit().await?;
                return Ok(spent.may_send);
            }
            transaction.rollback().await?;
        }
        Err(LimitError::Limited { retry_after_seconds: 1 })
    }

    /// What a request counts for, in the order in which it is locked.
    fn keys_of_mail(&self, request: MailRequest<'_>) -> Vec<(Key, Rule)> {
        let asker = match request.asker {
            Asker::Stranger(address) => address.map(Key::of_mails_from).zip(self.mails_from),
            Asker::User(user) => Some(Key::of_mails_by(user)).zip(self.mails_to),
            Asker::Nobody => None,
        };
        let recipient = Some(Key::of_mails_to(request.recipient, request.purpose)).zip(self.mails_to);
        [asker, recipient].into_iter().flatten().collect()
    }
}

/// What a request came to.
#[derive(Debug, PartialEq, Eq)]
struct Spent<'a> {
    counts: Vec<(&'a Key, Count)>,
    may_send: bool,
}

fn spend<'a>(
    keys: &'a [(Key, Rule)],
    counts: &[Option<Count>],
    now: DateTime<Utc>,
) -> Result<Spent<'a>, LimitError> {
    let mut spent = Spent { counts: Vec::new(), may_send: true };
    for ((key, rule), count) in keys.iter().zip(counts) {
        match rule.spend(*count, now) {
            Ok(count) => spent.counts.push((key, count)),
            Err(_) if key.kind == Kind::MailRecipient => spent.may_send = false,
            Err(until) => {
                return Err(LimitError::Limited { retry_after_seconds: whole_seconds(until - now) });
            }
        }
    }
    Ok(spent)
}
