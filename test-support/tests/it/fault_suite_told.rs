//! What the fault suite holds the tables against: a checker that sees nothing is worse than none.

use sqlx::PgConnection;
use test_support::TestDatabase;
use test_support::fault_suite::told::untold;

/// Two accounts, of which one has left; a session of each; tokens that were given, exchanged and ended; and a task.
const ALL_IS_TOLD: &str = "
    INSERT INTO users (id, username, email, password, date_joined) OVERRIDING SYSTEM VALUE
        VALUES (1, 'anna', 'a@example.com', '!', now());
    INSERT INTO user_sessions (id, user_id, is_active, login_time, logout_time, end_reason) VALUES
        ('00000000-0000-0000-0000-000000000001', 1, false, now(), now(), 'replaced'),
        ('00000000-0000-0000-0000-000000000002', 1, true, now(), NULL, NULL);
    INSERT INTO outstanding_tokens (id, jti, created_at, expires_at, kept_until) OVERRIDING SYSTEM VALUE
        SELECT id, jti, now(), now(), now() FROM (VALUES (11, 'first'), (12, 'second'), (13, 'successor'), (14, 'gone')) AS given (id, jti);
    INSERT INTO blacklisted_tokens (token_id, blacklisted_at, reason, successor_id) VALUES
        (11, now(), 'replaced', NULL), (12, now(), 'rotated', 13), (14, now(), 'logout', NULL);
    INSERT INTO tasks (id, user_id, title, duration, version, created_at, updated_at) OVERRIDING SYSTEM VALUE
        VALUES (1, 1, 'new', '1 hour', 2, now(), now());
    INSERT INTO audit.events (event_id, type, occurred_at, outcome, body, sequence, user_id, username, session_id, jti, reason)
    SELECT gen_random_uuid(), type, now(), 'success', body, row_number() OVER (), user_id, username, session_id::uuid, jti, reason
    FROM (VALUES
        ('auth.user.registered', '', 1, 'anna', NULL, NULL, NULL),
        ('auth.user.registered', '', 2, 'ben', NULL, NULL, NULL),
        ('auth.login.succeeded', '', 1, 'anna', '00000000-0000-0000-0000-000000000001', 'first', NULL),
        ('auth.session.ended', '', 1, 'anna', '00000000-0000-0000-0000-000000000001', NULL, 'replaced'),
        ('auth.token.blacklisted', '', 1, 'anna', NULL, 'first', 'replaced'),
        ('auth.login.succeeded', '', 1, 'anna', '00000000-0000-0000-0000-000000000002', 'second', NULL),
        ('auth.token.blacklisted', '', 1, 'anna', NULL, 'second', 'rotated'),
        ('auth.token.refreshed', '', 1, 'anna', NULL, 'second', NULL),
        ('auth.login.succeeded', '', 2, 'ben', '00000000-0000-0000-0000-000000000003', 'gone', NULL),
        ('auth.session.ended', '', 2, 'ben', '00000000-0000-0000-0000-000000000003', NULL, 'account_deleted'),
        ('auth.token.blacklisted', '', 2, 'ben', NULL, 'gone', 'logout'),
        ('auth.account.deleted', '', 2, 'ben', NULL, NULL, NULL),
        ('task.created', '{\"data\":{\"task\":{\"id\":1,\"version\":1,\"title\":\"old\"}}}', 1, 'anna', NULL, NULL, NULL),
        ('task.updated', '{\"data\":{\"task\":{\"id\":1,\"version\":2,\"title\":\"new\"}}}', 1, 'anna', NULL, NULL, NULL)
    ) AS told (type, body, user_id, username, session_id, jti, reason)";

async fn run(connection: &mut PgConnection, statements: &'static str) {
    sqlx::raw_sql(statements).execute(connection).await.unwrap();
}

/// What is changed, and what is to be said of it.
const CASES: &[(&str, Option<&str>)] = &[
        ("SELECT", None),
        // The same event twice is another invariant's.
        (
            "ALTER TABLE audit.events DROP CONSTRAINT events_pkey; INSERT INTO audit.events SELECT * FROM audit.events",
            None,
        ),
        ("UPDATE tasks SET version = 3", Some("task 1 has version 3 and its events say 2")),
        ("UPDATE tasks SET title = 'old'", Some("task 1 has version 2 and its events say 2")),
        ("DELETE FROM tasks", Some("task 1 has version none and its events say 2")),
        ("DELETE FROM audit.events WHERE body <> ''", Some("task 1 has version 2 and its events say nothing")),
        (
            "INSERT INTO users (id, username, email, password, date_joined) OVERRIDING SYSTEM VALUE
                VALUES (3, 'carl', 'c@example.com', '!', now())",
            Some("account 3 is carl and its events say that it is not"),
        ),
        (
            "DELETE FROM audit.events WHERE type = 'auth.account.deleted'",
            Some("account 2 is not there and its events say ben"),
        ),
        (
            "DELETE FROM audit.events WHERE type = 'auth.user.registered' AND user_id = 1",
            Some("account 1 is anna and its events say that it is not"),
        ),
        (
            "UPDATE user_sessions SET end_reason = 'logout' WHERE NOT is_active",
            Some(
                "session 00000000-0000-0000-0000-000000000001 of account 1 is logout and its events say 1, replaced",
            ),
        ),
        (
            "DELETE FROM audit.events WHERE type = 'auth.session.ended' AND user_id = 1",
            Some("session 00000000-0000-0000-0000-000000000001 of account 1 is replaced and its events say 1, active"),
        ),
        (
            "DELETE FROM audit.events WHERE type = 'auth.session.ended' AND user_id = 2",
            Some("session 00000000-0000-0000-0000-000000000003 of account nobody is not there and its events say 2, active"),
        ),
        (
            "DELETE FROM user_sessions WHERE is_active",
            Some("session 00000000-0000-0000-0000-000000000002 of account nobody is not there and its events say 1, active"),
        ),
        (
            "INSERT INTO user_sessions (id, user_id, login_time) VALUES ('00000000-0000-0000-0000-000000000009', 1, now())",
            Some("session 00000000-0000-0000-0000-000000000009 of account 1 is active and its events say nobody, active"),
        ),
        (
            "DELETE FROM audit.events WHERE type = 'auth.token.blacklisted' AND jti = 'first'",
            Some("token first is replaced and its events say that it is not"),
        ),
        (
            "UPDATE blacklisted_tokens SET reason = 'reuse' WHERE token_id = 11",
            Some("token first is reuse and its events say replaced"),
        ),
        (
            "DELETE FROM blacklisted_tokens WHERE token_id = 14",
            Some("token gone is not blacklisted and its events say logout"),
        ),
        (
            "INSERT INTO outstanding_tokens (jti, created_at, expires_at, kept_until) VALUES ('stray', now(), now(), now())",
            Some("token stray was given by no login"),
        ),
        (
            "UPDATE audit.events SET jti = 'other' WHERE type = 'auth.login.succeeded' AND jti = 'second';
             INSERT INTO outstanding_tokens (jti, created_at, expires_at, kept_until) VALUES ('other', now(), now(), now())",
            Some("token second was given by no login"),
        ),
        (
            "UPDATE audit.events SET jti = 'other' WHERE type = 'auth.login.succeeded' AND jti = 'second';
             UPDATE outstanding_tokens SET jti = 'second-' WHERE jti = 'second'; UPDATE audit.events SET jti = 'second-' WHERE jti = 'second'",
            Some("token other of a login is not known, token second- was given by no login"),
        ),
        (
            "UPDATE outstanding_tokens SET session_id = '00000000-0000-0000-0000-000000000001' WHERE jti = 'second'",
            Some("token second is of another session"),
        ),
        (
            "DELETE FROM audit.events WHERE type = 'auth.token.refreshed'",
            Some("token second was exchanged and no event says so"),
        ),
        (
            "UPDATE audit.events SET jti = 'first' WHERE type = 'auth.token.refreshed'",
            Some("token first was refreshed and not exchanged, token second was exchanged and no event says so"),
        ),
];

/// Goes red when the suite takes a table for told that is not, or the other way round.
#[tokio::test]
async fn whatever_differs_from_its_events_is_seen_by_name_and_nothing_else() {
    for (change, expected) in CASES.iter().copied() {
        let database = TestDatabase::create().await;
        let mut connection = database.pool().acquire().await.unwrap();
        run(&mut connection, ALL_IS_TOLD).await;
        run(&mut connection, change).await;
        let mut found = untold(database.pool()).await.unwrap();
        found.sort();
        assert_eq!(found.join(", "), expected.unwrap_or_default(), "{change}");
    }
}
