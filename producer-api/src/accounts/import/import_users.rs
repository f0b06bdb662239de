//! Importing: batch by batch, each a transaction with its accounts and their events.

use std::collections::HashSet;

use shared::clock::Clock;
use shared::contracts::Origin;
use shared::contracts::auth::{AccountChange, EmailVerified, UserRegistered};
use shared::outbox::{AppendError, Outbox};
use shared::telemetry::TraceContext;
use sqlx::{PgConnection, PgPool};
use tokio::sync::mpsc;

use super::addresses::{Candidate, Verified};
use super::plan::{Decision, Taken};
use super::record::{Entry, Model, Record, Token};
use super::report::Report;
use super::source::{ReadError, Source, read};
use super::store::{self, Written};
use super::user::{ImportedUser, Who, judge};

/// Rows of a transaction.
const BATCH: usize = 500;

/// What an import needs of its program.
#[derive(Debug)]
pub struct Importer<'a> {
    /// Our PostgreSQL.
    pub database: &'a PgPool,
    /// Where events go.
    pub outbox: &'a Outbox,
    /// What time it is.
    pub clock: &'a Clock,
    /// The trace of this import, in every event.
    pub trace: &'a TraceContext,
    /// Takes the addresses of active accounts for verified.
    pub emails_verified: bool,
    /// Says what it would do and does nothing.
    pub dry_run: bool,
}

/// Why an import ended before its source. What was committed stays; the same import can be run again.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The source can't be read.
    #[error("the source can't be read to its end")]
    Read(#[source] ReadError),
    /// Our database refused.
    #[error("the database can't be used")]
    Database(#[from] sqlx::Error),
    /// An event could not be written, so its account was not made.
    #[error("the event can't be written")]
    Outbox(#[from] AppendError),
    /// Whoever read the source died.
    #[error("the reader of the source died")]
    Died(#[source] tokio::task::JoinError),
}

/// Imports everything, and says in `report` what was done, also when it ends in an error.
pub async fn import_users(
    importer: Importer<'_>,
    source: Source,
    model: Model,
    report: &mut Report,
) -> Result<(), ImportError> {
    report.dry_run = importer.dry_run;
    let (sender, mut entries) = mpsc::channel(BATCH);
    let reading = tokio::spawn(read(source, model, importer.clock.now(), sender));
    let mut seen = Seen::default();
    let mut batch = Batch::default();
    while let Some(entry) = entries.recv().await {
        match entry {
            Entry::User(record) => batch.users.push(record),
            Entry::Token(row) => batch.tokens.push(row),
            Entry::Other => report.other_models += 1,
        }
        if batch.users.len() + batch.tokens.len() >= BATCH {
            batch.write(&importer, &mut seen, report).await?;
        }
    }
    batch.write(&importer, &mut seen, report).await?;
    importer.outbox.wake();
    reading.await.map_err(ImportError::Died)?.map_err(ImportError::Read)
}

/// What was read and not written yet.
#[derive(Default)]
struct Batch {
    users: Vec<Record>,
    tokens: Vec<Token>,
}

impl Batch {
    async fn write(
        &mut self,
        importer: &Importer<'_>,
        seen: &mut Seen,
        report: &mut Report,
    ) -> Result<(), ImportError> {
        let (users, tokens) = (std::mem::take(&mut self.users), std::mem::take(&mut self.tokens));
        if !users.is_empty() {
            write_users(importer, users, seen, report).await?;
        }
        // Users before tokens, which belong to them.
        if !tokens.is_empty() {
            write_tokens(importer, &tokens, report).await?;
        }
        Ok(())
    }
}

/// What earlier rows had. Emptied with each batch that is committed: then the database says it.
#[derive(Default)]
struct Seen {
    taken: Taken,
    verified: Verified,
}

async fn write_users(
    importer: &Importer<'_>,
    records: Vec<Record>,
    seen: &mut Seen,
    report: &mut Report,
) -> Result<(), ImportError> {
    let now = importer.clock.now();
    let mut rows = Vec::with_capacity(records.len());
    for (who, user) in records.into_iter().map(|record| judge(record, now)) {
        match user {
            Ok(user) => rows.push((who, user)),
            Err(reason) => report.refuse(&who, &reason),
        }
    }
    let usernames: Vec<String> = rows.iter().map(|(_, user)| user.username.clone()).collect();
    let ids: Vec<i64> = rows.iter().filter_map(|(_, user)| user.id).collect();
    if let Some(highest) = ids.iter().max().filter(|_| !importer.dry_run) {
        store::move_sequence_past(importer.database, *highest).await?;
    }
    let mut transaction = importer.database.begin().await?;
    let present = store::find_present(&mut transaction, &usernames, &ids).await?;
    for present in &present {
        seen.taken.add(&present.username, Some(present.id.0));
    }
    let (mut wanted, mut candidates) = (Vec::with_capacity(rows.len()), Vec::new());
    for (who, user) in rows {
        match seen.taken.decide(&user) {
            Decision::Insert => {
                candidates.push(Candidate::new(&who, &user));
                wanted.push((who, user));
            }
            Decision::Unchanged => {
                let here = present.iter().find(|present| present.username == user.username);
                candidates.extend(here.and_then(|here| Candidate::present(&who, &user, here)));
                report.unchanged += 1;
            }
            Decision::Refused(reason) => report.refuse(&who, &reason),
        }
    }
    if importer.dry_run {
        // What is not written can only be remembered, so that a later row that collides with it is found.
        for (who, user) in &wanted {
            count(who, user, report);
        }
        verify(importer, &mut transaction, &candidates, seen, report).await?;
        return Ok(());
    }
    let made = insert(importer, &mut transaction, &wanted).await?;
    candidates.retain(|candidate| {
        let is_new = wanted.iter().any(|(who, _)| *who == candidate.who);
        !is_new || made.contains(&candidate.username)
    });
    verify(importer, &mut transaction, &candidates, seen, report).await?;
    transaction.commit().await?;
    *seen = Seen::default();
    for (who, user) in &wanted {
        if made.contains(&user.username) {
            count(who, user, report);
        } else {
            report.refuse(who, "the username or the id was taken meanwhile");
        }
    }
    Ok(())
}

fn count(who: &Who, user: &ImportedUser, report: &mut Report) {
    report.imported += 1;
    if let Some(reason) = user.no_login {
        report.no_login(who, reason);
    }
}

/// Makes the accounts, each with its event; the names of those that were made.
async fn insert(
    importer: &Importer<'_>,
    connection: &mut PgConnection,
    wanted: &[(Who, ImportedUser)],
) -> Result<HashSet<String>, ImportError> {
    let users: Vec<&ImportedUser> = wanted.iter().map(|(_, user)| user).collect();
    let mut made = HashSet::with_capacity(users.len());
    for Written { id: user_id, username } in store::insert_users(connection, &users).await? {
        let event = UserRegistered { user_id, username: username.clone(), origin: Origin::default() };
        importer.outbox.append(connection, importer.trace, event).await?;
        made.insert(username);
    }
    Ok(made)
}

/// Takes addresses for verified, if that is wanted, each with its event; those that can't be are reported.
async fn verify(
    importer: &Importer<'_>,
    connection: &mut PgConnection,
    candidates: &[Candidate],
    seen: &mut Seen,
    report: &mut Report,
) -> Result<(), ImportError> {
    if !importer.emails_verified {
        return Ok(());
    }
    let emails: Vec<String> = candidates.iter().map(|candidate| candidate.email.clone()).collect();
    let addresses = store::addresses(connection, &emails).await?;
    let (mut usernames, mut emails) = (Vec::new(), Vec::new());
    for (candidate, address) in candidates.iter().zip(&addresses) {
        match seen.verified.decide(candidate, address) {
            Ok(()) => {
                usernames.push(candidate.username.clone());
                emails.push(candidate.email.clone());
            }
            Err(reason) => report.not_verified(&candidate.who, reason),
        }
    }
    *report.verified.get_or_insert_default() += usernames.len() as u64;
    if importer.dry_run || usernames.is_empty() {
        return Ok(());
    }
    let now = importer.clock.now();
    for Written { id: user_id, username } in
        store::mark_verified(connection, &usernames, &emails, now).await?
    {
        let change = AccountChange { user_id, username, actor_id: None, origin: Origin::default() };
        importer.outbox.append(connection, importer.trace, EmailVerified(change)).await?;
    }
    Ok(())
}

async fn write_tokens(
    importer: &Importer<'_>,
    tokens: &[Token],
    report: &mut Report,
) -> Result<(), ImportError> {
    let mut transaction = importer.database.begin().await?;
    let outstanding = store::insert_tokens(&mut transaction, tokens).await?;
    let blacklisted = store::blacklist_tokens(&mut transaction, tokens).await?;
    if importer.dry_run {
        transaction.rollback().await?;
    } else {
        transaction.commit().await?;
    }
    let counts = report.tokens.get_or_insert_default();
    counts.outstanding += outstanding;
    counts.unchanged += tokens.len() as u64 - outstanding;
    counts.blacklisted += blacklisted;
    Ok(())
}
