//! `send-mail`: writes to one user for one purpose. The protocol is told in the room's front page.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use shared::contracts::auth::EmailConflict;
use shared::contracts::jobs::MAIL_QUEUE;
use shared::contracts::mail::{MailPurpose, SEND_MAIL, SEND_MAIL_ATTEMPTS_MAX, SEND_MAIL_TIMEOUT, SendMail};
use shared::entropy::Entropy;
use shared::ids::UserId;
use shared::outbox::AppendError;
use shared::telemetry::error_chain;
use sqlx::PgConnection;

use super::delivery::{Delivery, Mailer, Outcome};
use super::letter::{Account, Letter};
use super::message::write;
use super::plan::{Plan, account_of, conflict, link, notice, plan};
use super::reply::harmless;
use super::store::{self, Attempt, Before, NewToken, Owner, User};
use crate::jobs::{Definition, Job, JobContext, JobError, JobResult};

/// How many links for one purpose a user has at the same time.
const LIVE_TOKENS_MAX: i64 = 3;
/// How `mail_attempts` calls a notice to the owner of an address that somebody else has given.
const CONFLICT: &str = "email_conflict";

/// The job.
pub fn job(mailer: Mailer, entropy: Entropy) -> Job {
    let definition = Definition {
        verbose_name: "Send a mail",
        queue: MAIL_QUEUE,
        timeout: SEND_MAIL_TIMEOUT,
        attempts_max: SEND_MAIL_ATTEMPTS_MAX,
        ..Definition::new(SEND_MAIL)
    };
    Job::new(definition, move |context| {
        let (mailer, entropy) = (mailer.clone(), entropy.clone());
        async move { Sending { mailer, entropy, context }.run().await }
    })
}

/// Why an attempt could not begin.
#[derive(Debug, thiserror::Error)]
enum BeginError {
    #[error("the database refuses")]
    Database(#[from] sqlx::Error),
    #[error("the conflict can't be told")]
    Append(#[source] AppendError),
    #[error("another attempt has the run")]
    Fenced,
}

/// What an attempt is about.
enum Begun {
    /// There is nothing to send, and why.
    Nothing(&'static str),
    /// An earlier attempt delivered it.
    DeliveredBefore(i32),
    /// This is to be sent.
    Ready(Box<Ready>),
}

/// A mail that may leave: its attempt is noted, and its secret kept as a hash.
struct Ready {
    letter: Letter,
    address: String,
    /// As the link has it.
    secret: Option<String>,
    before: Before,
    /// Such as "`reset_password` mail to user 7".
    what: String,
}

struct Sending {
    mailer: Mailer,
    entropy: Entropy,
    context: JobContext,
}

impl Sending {
    async fn run(&self) -> JobResult {
        let args = serde_json::from_value(self.context.args.clone());
        let SendMail { user_id, purpose } =
            args.map_err(|error| JobError::Lasting(format!("a user and a purpose are expected: {error}")))?;
        let Some(user_id) = user_id else {
            return Ok(format!("{} mail to nobody: nothing to send\n", purpose.as_str()));
        };
        let begun = self.begin(user_id, purpose).await;
        match begun.map_err(JobError::passing("the attempt can't begin"))? {
            Begun::Nothing(why) => {
                Ok(format!("{} mail to user {user_id}: nothing to send, {why}\n", purpose.as_str()))
            }
            Begun::DeliveredBefore(attempt) => Ok(format!(
                "{} mail to user {user_id}: not sent again, delivered at attempt {attempt}\n",
                purpose.as_str()
            )),
            Begun::Ready(ready) => self.send(*ready).await,
        }
    }

    /// Decides, notes the attempt and draws the secret, in one transaction that holds the run.
    async fn begin(&self, user_id: UserId, purpose: MailPurpose) -> Result<Begun, BeginError> {
        let mut transaction = self.context.database.begin().await?;
        if !store::hold_run(&mut transaction, self.attempt()).await? {
            return Err(BeginError::Fenced);
        }
        let before = store::before(&mut transaction, self.attempt(), CONFLICT).await?;
        if let Some(attempt) = before.delivered_at_attempt {
            return Ok(Begun::DeliveredBefore(attempt));
        }
        let Some(user) = store::lock_user(&mut transaction, user_id).await? else {
            return Ok(Begun::Nothing("the account is gone"));
        };
        let plan = match plan(&mut transaction, (user_id, &user), purpose, self.context.scheduled_at).await? {
            Ok(plan) => plan,
            Err(why) => return Ok(Begun::Nothing(why)),
        };
        let ready = self.prepare(&mut transaction, plan, &user, (user_id, purpose), before).await?;
        transaction.commit().await?;
        self.context.outbox.wake();
        Ok(Begun::Ready(Box::new(ready)))
    }

    async fn prepare(
        &self,
        connection: &mut PgConnection,
        plan: Plan,
        user: &User,
        (user_id, purpose): (UserId, MailPurpose),
        before: Before,
    ) -> Result<Ready, BeginError> {
        let (recipient, name) = match &plan {
            Plan::Conflict { owner } => (owner.user_id, CONFLICT),
            Plan::Link { .. } | Plan::Notice { .. } => (user_id, purpose.as_str()),
        };
        let now = self.context.clock.now();
        store::begin_attempt(connection, self.attempt(), recipient, name, now).await?;
        let site = self.mailer.site();
        let (letter, address, secret) = match plan {
            Plan::Link { address } => {
                let secret = self.draw(connection, user_id, purpose, &address).await?;
                let account = account_of(user, &address);
                let letter = link(site, purpose, account, &secret, self.mailer.link_lasts(purpose));
                (letter, address, Some(secret))
            }
            Plan::Notice { address } => {
                let letter = notice(site, purpose, account_of(user, &address), address != user.email);
                (letter, address, None)
            }
            Plan::Conflict { owner } => {
                if !before.told_the_owner {
                    self.tell_conflict(connection, user_id, user, &owner).await?;
                }
                (conflict(site, purpose, Account::new(&owner.username, true)), owner.email, None)
            }
        };
        let what = format!("{name} mail to user {recipient}");
        Ok(Ready { letter, address, secret, before, what })
    }

    /// Draws a secret and keeps its hash; the oldest of those that are live too many ends.
    async fn draw(
        &self,
        connection: &mut PgConnection,
        user_id: UserId,
        purpose: MailPurpose,
        email: &str,
    ) -> Result<String, sqlx::Error> {
        let now = self.context.clock.now();
        let secret = self.entropy.bytes::<32>();
        let purpose_name = purpose.as_str();
        store::supersede_tokens(connection, user_id, purpose_name, LIVE_TOKENS_MAX - 1, now).await?;
        let hash = digest(&SHA256, &secret);
        let token = NewToken {
            user_id,
            purpose: purpose_name,
            sha256: hash.as_ref(),
            email,
            expires_at: now + self.mailer.link_lasts(purpose),
        };
        store::insert_token(connection, self.attempt(), &token, now).await?;
        Ok(BASE64_URL_SAFE_NO_PAD.encode(secret))
    }

    async fn tell_conflict(
        &self,
        connection: &mut PgConnection,
        user_id: UserId,
        user: &User,
        owner: &Owner,
    ) -> Result<(), BeginError> {
        let event = EmailConflict { user_id, username: user.username.clone(), owner_id: owner.user_id };
        let appended = self.context.outbox.append(connection, &self.context.trace, event).await;
        appended.map(|_| ()).map_err(BeginError::Append)
    }

    async fn send(&self, ready: Ready) -> JobResult {
        let delivery = self.deliver(&ready).await;
        if let Err(error) = self.note(&ready, &delivery).await {
            // The row stays at 'begun', which says that the mail may have left. To fail would send it again.
            tracing::warn!(%error, "what became of a mail can't be noted");
        }
        let Ready { what, before, .. } = ready;
        match delivery.outcome {
            Outcome::Delivered => {
                let mut line = format!("{what} delivered at attempt {}", self.context.attempt);
                if before.may_have_arrived > 0 {
                    let attempts = if before.may_have_arrived == 1 { "attempt" } else { "attempts" };
                    // Writing to a String can't fail.
                    let _ = write!(
                        line,
                        "; {} earlier {attempts} may have arrived as well",
                        before.may_have_arrived
                    );
                }
                Ok(line + "\n")
            }
            Outcome::Refused => {
                Err(JobError::Lasting(format!("{what} refused for good: {}", delivery.reason)))
            }
            Outcome::Failed | Outcome::Unconfirmed => {
                let source = format!("{what}: {}", delivery.reason);
                Err(JobError::passing("a mail could not be sent")(source))
            }
        }
    }

    async fn deliver(&self, ready: &Ready) -> Delivery {
        let JobContext { run_id, attempt, clock, printer, .. } = &self.context;
        match write(&ready.letter, self.mailer.from(), &ready.address, *run_id, clock.now()) {
            Ok(mail) => self.mailer.deliver(mail, &format!("{run_id}-{attempt}"), printer).await,
            Err(error) => {
                let error = error_chain(&error);
                Delivery { outcome: Outcome::Refused, reason: error.clone(), reply: error }
            }
        }
    }

    async fn note(&self, ready: &Ready, delivery: &Delivery) -> Result<(), sqlx::Error> {
        let now = self.context.clock.now();
        let reply = harmless(&delivery.reply, ready.secret.as_deref(), &ready.address);
        let mut transaction = self.context.database.begin().await?;
        store::end_attempt(&mut transaction, self.attempt(), delivery.outcome.as_str(), &reply, now).await?;
        if matches!(delivery.outcome, Outcome::Refused | Outcome::Failed) {
            // Nobody has it: it must not take the place of one that somebody has.
            store::withdraw_token(&mut transaction, self.attempt(), now).await?;
        }
        transaction.commit().await
    }

    const fn attempt(&self) -> Attempt {
        Attempt { run_id: self.context.run_id, attempt: self.context.attempt }
    }
}
