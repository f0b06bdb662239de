//! What is there when a run is over: read from the tables, from the witness and from the load's own log, and judged nowhere
//! in this room.

use std::collections::HashSet;

use sqlx::PgPool;
use uuid::Uuid;

use super::account::{Account, Outcome, account};
use super::committed::{Committed, LeftOver};
use super::load::{Attempt, Ledger};
use super::told::untold;
use super::witness::Witness;

/// The accounts, and everything else that the invariants are about.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Messages: what the relay has sent, against what the witness saw.
    pub messages: Account<Uuid>,
    /// Events: what was committed, against the rows of the trail.
    pub events: Account<Uuid>,
    /// Requests: what the load attempted, against the rows of the trail.
    pub requests: Account<String>,
    /// Messages that were sent while the witness had to look away; they are in the trail.
    pub unwitnessed: usize,
    /// Messages that the witness saw once more because the suite itself had published them.
    pub own_copies: u32,
    /// Messages without an id that the witness saw, and that nobody of the suite had sent.
    pub strangers: u32,
    /// Rows that were tried more than once before they left the outbox.
    pub retried: usize,
    /// Rows that were parked because the broker could route them nowhere, and came back.
    pub were_parked: usize,
    /// Rows that were sent again because the broker had confirmed them and the trail did not get them.
    pub sent_again: usize,
    /// What still waits.
    pub left_over: LeftOver,
    /// Rows in the quarantine.
    pub quarantined: usize,
    /// Rows of the trail that came after a later one of the same user.
    pub overtaken: usize,
    /// Facts of a task or session that the trail has in another order than they happened, or with a gap.
    pub disorder: Vec<String>,
    /// Rows of the trail whose body is not the one that was committed.
    pub altered: Vec<String>,
    /// Tasks, accounts, sessions and tokens that are not as their events have them.
    pub untold: Vec<String>,
    /// Runs without an outcome, or with several, and due instants without an answer, or with two.
    pub unanswered: Vec<String>,
}

impl Evidence {
    /// Reads it. Nothing may be under way any more.
    pub async fn gather(database: &PgPool, witness: &Witness, ledger: &Ledger) -> Result<Self, sqlx::Error> {
        let committed = Committed::read(database).await?;
        let trail: Vec<Uuid> =
            sqlx::query_scalar("SELECT event_id FROM audit.events").fetch_all(database).await?;
        let (messages, unwitnessed) = messages(&committed, witness, &trail);
        let facts = committed.facts.iter().map(|id| (*id, Outcome::Acknowledged));
        let quarantined: i64 =
            sqlx::query_scalar("SELECT count(*) FROM audit.quarantine").fetch_one(database).await?;
        let overtaken: i64 = sqlx::query_scalar(OVERTAKEN).fetch_one(database).await?;
        let unanswered = sqlx::query_scalar(UNANSWERED).bind(ledger.began_at).bind(ledger.ended_at);
        let mut unanswered: Vec<String> = unanswered.fetch_all(database).await?;
        unanswered.extend(vanished(database, &ledger.runs).await?);
        Ok(Self {
            messages,
            events: account(facts, trail),
            requests: requests(database, &ledger.attempts).await?,
            unwitnessed,
            own_copies: witness.own_copies(),
            strangers: witness.strangers(),
            retried: committed.retried,
            were_parked: committed.were_parked,
            sent_again: committed.sent_again,
            left_over: committed.left_over,
            quarantined: usize::try_from(quarantined).unwrap_or_default(),
            overtaken: usize::try_from(overtaken).unwrap_or_default(),
            disorder: lines(database, DISORDER).await?,
            altered: lines(database, ALTERED).await?,
            untold: untold(database).await?,
            unanswered,
        })
    }
}

/// What left the outbox was confirmed by the broker: acknowledged. What is still there may have been sent or not.
fn messages(committed: &Committed, witness: &Witness, trail: &[Uuid]) -> (Account<Uuid>, usize) {
    let recorded: HashSet<&Uuid> = trail.iter().collect();
    let is_unwitnessed = |id: &Uuid| {
        let sent = committed.sent.get(id);
        sent.is_some_and(|sent| witness.looked_away_from(&sent.exchange, sent.at))
            && recorded.contains(id)
            && !witness.has_seen(id)
    };
    let (unwitnessed, attempted): (Vec<Uuid>, Vec<Uuid>) =
        committed.facts.iter().copied().partition(is_unwitnessed);
    let outcome =
        |id: &Uuid| if committed.sent.contains_key(id) { Outcome::Acknowledged } else { Outcome::Unsure };
    let attempts = attempted.iter().map(|id| (*id, outcome(id)));
    (account(attempts, witness.seen()), unwitnessed.len())
}

async fn requests(database: &PgPool, attempts: &[Attempt]) -> Result<Account<String>, sqlx::Error> {
    let told = "SELECT user_agent || ' ' || type FROM audit.events WHERE user_agent LIKE 'fault-suite/%' \
                AND type IN ('task.created', 'task.updated', 'task.deleted', 'auth.user.registered', 'auth.login.succeeded', \
                    'auth.token.refreshed', 'auth.user.updated', 'auth.account.deleted')";
    let told: Vec<String> = sqlx::query_scalar(told).fetch_all(database).await?;
    // A login ends sessions, too: only the one that somebody logged out of was ended by its request.
    let logged_out = "SELECT user_agent || ' ' || type FROM audit.events WHERE user_agent LIKE 'fault-suite/%' \
                      AND type = 'auth.session.ended' AND reason = 'logout'";
    let logged_out: Vec<String> = sqlx::query_scalar(logged_out).fetch_all(database).await?;
    let key = |attempt: &Attempt| format!("{} {}", attempt.name, attempt.act.event());
    let attempts = attempts.iter().map(|attempt| (key(attempt), attempt.outcome()));
    Ok(account(attempts, told.into_iter().chain(logged_out)))
}

/// The runs that were surely enqueued and are not there.
async fn vanished(database: &PgPool, runs: &[Uuid]) -> Result<Vec<String>, sqlx::Error> {
    let there: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM job_runs").fetch_all(database).await?;
    let there: HashSet<Uuid> = there.into_iter().collect();
    let vanished = runs.iter().filter(|run| !there.contains(run));
    Ok(vanished.map(|run| format!("run {run} was enqueued and is not there")).collect())
}

async fn lines(database: &PgPool, query: &'static str) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(query).fetch_all(database).await
}

/// Recorded after a row of the same user that has a higher sequence.
const OVERTAKEN: &str = "\
    SELECT count(*) FROM (SELECT sequence, max(sequence) OVER (PARTITION BY user_id ORDER BY recorded_at, event_id \
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM audit.events) AS row WHERE sequence < before";

/// A task's versions, each event taken once, count up by one with the sequence, from its creation to its deletion; a session ends after its login,
/// and nothing of a user comes before he was registered or after he left.
const DISORDER: &str = "\
    WITH told AS ( \
        SELECT DISTINCT ON (event_id) event_id, type, sequence, (body::jsonb #>> '{data,task,id}')::bigint AS task, \
            (body::jsonb #>> '{data,task,version}')::bigint AS version \
        FROM audit.events WHERE type LIKE 'task.%' \
    ), placed AS ( \
        SELECT *, row_number() OVER (PARTITION BY task ORDER BY sequence) AS place, \
            lead(type) OVER (PARTITION BY task ORDER BY sequence) AS next FROM told \
    ) \
    SELECT 'task ' || task || ': version ' || version || ' (' || type || ') comes as number ' || place FROM placed \
    WHERE version <> place OR (version = 1) <> (type = 'task.created') OR (type = 'task.deleted' AND next IS NOT NULL) \
    UNION ALL \
    SELECT 'session ' || session_id || ' ended before its login' FROM audit.events AS ended \
    WHERE type = 'auth.session.ended' AND NOT EXISTS (SELECT FROM audit.events AS login \
        WHERE login.session_id = ended.session_id AND login.type = 'auth.login.succeeded' \
          AND login.sequence < ended.sequence) \
    UNION ALL \
    SELECT 'user ' || row.user_id || ': ' || row.type || ' comes before ' || first.type FROM audit.events AS row \
    JOIN audit.events AS first ON first.user_id = row.user_id AND first.type = 'auth.user.registered' \
    WHERE row.sequence < first.sequence \
    UNION ALL \
    SELECT 'user ' || row.user_id || ': ' || row.type || ' comes after ' || last.type FROM audit.events AS row \
    JOIN audit.events AS last ON last.user_id = row.user_id AND last.type = 'auth.account.deleted' \
    WHERE row.sequence > last.sequence AND (row.type LIKE 'auth.session.%' OR row.type LIKE 'auth.token.%' \
        OR row.type IN ('auth.login.succeeded', 'auth.user.updated')) \
    LIMIT 1000";

/// What the trail keeps is what was committed, byte by byte.
const ALTERED: &str = "\
    SELECT 'event ' || event_id || ' of ' || type FROM audit.events JOIN fault_suite.committed USING (event_id) \
    WHERE md5(body) <> digest LIMIT 1000";

/// Runs without exactly one outcome, and minutes of `print-user-tasks`, from the beginning of the load to its end, that are
/// neither a run nor in a gap, or both.
const UNANSWERED: &str = "\
    WITH outcomes AS ( \
        SELECT (body::jsonb #>> '{data,run_id}')::uuid AS run, count(*) AS outcomes FROM audit.events \
        WHERE type IN ('job.run.succeeded', 'job.run.failed') GROUP BY 1 \
    ), due AS ( \
        SELECT due, \
            EXISTS (SELECT FROM job_runs WHERE schedule_key = 'print-user-tasks' AND scheduled_at = due) AS is_run, \
            EXISTS (SELECT FROM job_gaps WHERE schedule_key = 'print-user-tasks' AND due BETWEEN first_at AND last_at) AS is_gap \
        FROM generate_series(date_trunc('minute', $1::timestamptz) + interval '1 minute', $2::timestamptz, \
            interval '1 minute') AS due \
    ) \
    SELECT 'run ' || id || ' of ' || job_key || ' is ' || state || ' and has ' || COALESCE(outcomes, 0) || ' outcomes' \
    FROM job_runs LEFT JOIN outcomes ON outcomes.run = job_runs.id \
    WHERE state NOT IN ('succeeded', 'failed') OR COALESCE(outcomes, 0) <> 1 \
    UNION ALL \
    SELECT CASE WHEN is_run THEN 'the tick is a run and in a gap: ' ELSE 'nothing tells of the tick at ' END || due \
    FROM due WHERE is_run = is_gap \
    LIMIT 1000";
