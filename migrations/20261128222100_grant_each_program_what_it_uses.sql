-- Each program has a role of its own and may do what its statements do, and no more: none of them owns a table, makes one,
-- or empties one with TRUNCATE. The roles are cluster-wide and made beforehand by `producer-api database create-roles`.
--
-- How this page is written: rows that a program makes it may insert whole. Changes are granted by column. What it reads is
-- granted by column where a table holds more than it is to see. A `FOR UPDATE` needs the right to change some column: where
-- a program locks rows and changes none, that is an `id` that PostgreSQL generates always, or an instant.

-- Databases that were made by PostgreSQL 14 or older let everybody make tables there.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO warren_producer_api, warren_audit_consumer, warren_scheduler;

-- Every program looks at start whether the schema is as new as itself; so do the commands of operators. sqlx makes this
-- table, and there is none where migrations are applied by other means.
DO $$ BEGIN
    IF to_regclass('_sqlx_migrations') IS NOT NULL THEN
        GRANT SELECT (version, success) ON _sqlx_migrations
            TO warren_producer_api, warren_audit_consumer, warren_scheduler, warren_operator;
    END IF;
END $$;

-- ── What whoever tells a fact and whoever relays it needs ───────────────────────────────────────────────────────────
-- The consumer's commands tell facts, too, and leave them to the others to relay.
GRANT INSERT ON outbox TO warren_producer_api, warren_audit_consumer, warren_scheduler;
GRANT USAGE ON SEQUENCE outbox_seq_seq TO warren_producer_api, warren_audit_consumer, warren_scheduler;
GRANT SELECT, DELETE, UPDATE (attempts, returns, not_before) ON outbox TO warren_producer_api, warren_scheduler;
-- What can't be routed is parked, and taken back by a relay or by an operator's command, or discarded.
GRANT SELECT, INSERT, DELETE, UPDATE (reason) ON outbox_parked TO warren_producer_api, warren_scheduler;

-- ── producer-api ────────────────────────────────────────────────────────────────────────────────────────────────────
-- Its own tables. Nobody who is there can be made staff or superuser by it: those columns are written with a new row alone.
GRANT SELECT, INSERT, DELETE ON users TO warren_producer_api;
GRANT UPDATE (
    username, email, email_verified_at, pending_email, former_email, first_name, last_name, password, password_stamp,
    password_changed_at, imported_password_md5, is_active, last_login, login_failures
) ON users TO warren_producer_api;
-- `users import` keeps the ids of another system and draws the others.
GRANT SELECT, USAGE, UPDATE ON SEQUENCE users_id_seq TO warren_producer_api;
-- Sessions and tokens are ended, never deleted by it.
GRANT SELECT, INSERT, UPDATE (is_active, logout_time, end_reason) ON user_sessions TO warren_producer_api;
GRANT SELECT, INSERT, UPDATE (created_at, expires_at, kept_until) ON outstanding_tokens TO warren_producer_api;
GRANT SELECT, INSERT ON blacklisted_tokens TO warren_producer_api;
GRANT SELECT ON standing_changes TO warren_producer_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON login_limits TO warren_producer_api;
GRANT SELECT, INSERT, UPDATE (request, answer, created_at) ON idempotency_keys TO warren_producer_api;
GRANT SELECT, INSERT, DELETE, UPDATE (title, version, updated_at) ON tasks TO warren_producer_api;
-- It tells links apart and ends them; to draw one is the worker's.
GRANT SELECT, UPDATE (ended_at, end_reason, told_faults) ON mail_tokens TO warren_producer_api;
-- A mail is a run that it enqueues and sees no more of.
GRANT INSERT, SELECT (id, job_key, queue, scheduled_at, args) ON job_runs TO warren_producer_api;

-- ── audit-consumer ──────────────────────────────────────────────────────────────────────────────────────────────────
-- The trail grows and is never changed by it: no UPDATE, no DELETE. When a row was recorded is the database's word, so that
-- column is not to be written. It reads the trail for its exports.
GRANT USAGE ON SCHEMA audit TO warren_audit_consumer;
GRANT SELECT, INSERT (
    event_id, type, occurred_at, sequence, user_id, username, session_id, jti, ip, user_agent, outcome, reason, request_id,
    trace_id, body
) ON audit.events TO warren_audit_consumer;
-- Through `audit.events` rights on the parts are not looked at. This one is looked at by itself: it should be empty.
GRANT SELECT ON audit.events_default TO warren_audit_consumer;
-- What can be read after all is taken out of quarantine; what still can't is given a new reason.
GRANT SELECT, INSERT (digest, raw, properties, reason), UPDATE (reason), DELETE
    ON audit.quarantine TO warren_audit_consumer;
GRANT EXECUTE ON FUNCTION audit.make_partitions(timestamptz, integer) TO warren_audit_consumer;

-- ── scheduler ───────────────────────────────────────────────────────────────────────────────────────────────────────
-- Its own tables.
GRANT SELECT, INSERT, UPDATE ON job_schedules, job_gaps TO warren_scheduler;
GRANT SELECT, INSERT, UPDATE, DELETE ON job_runs TO warren_scheduler;
GRANT SELECT, INSERT, UPDATE (outcome, reply, ended_at), DELETE ON mail_attempts TO warren_scheduler;
-- `print-user-tasks`.
GRANT SELECT ON tasks TO warren_scheduler;
-- `send-mail` needs to know whom to write to, never a password; `purge-mail` forgets former addresses.
GRANT SELECT (
    id, username, email, email_verified_at, pending_email, former_email, is_active, password_changed_at
) ON users TO warren_scheduler;
GRANT UPDATE (former_email) ON users TO warren_scheduler;
-- It draws secrets of links and ends links, and doesn't read what it drew.
GRANT INSERT, DELETE, UPDATE (id, ended_at, end_reason),
    SELECT (id, user_id, purpose, expires_at, ended_at, run_id, attempt) ON mail_tokens TO warren_scheduler;
-- `purge-expired-tokens` ends sessions whose last token has run out, and deletes tokens, changes, counts and keys that are
-- old; the blacklist goes with the tokens, of which it counts the rows.
GRANT SELECT (id, user_id, is_active, login_time), UPDATE (is_active, logout_time, end_reason)
    ON user_sessions TO warren_scheduler;
GRANT SELECT, DELETE, UPDATE (id) ON outstanding_tokens, standing_changes TO warren_scheduler;
GRANT SELECT (token_id) ON blacklisted_tokens TO warren_scheduler;
GRANT SELECT, DELETE, UPDATE (tried_at) ON login_limits TO warren_scheduler;
GRANT DELETE, UPDATE (created_at), SELECT (user_id, key, created_at) ON idempotency_keys TO warren_scheduler;
-- `make-audit-partitions`; the rows are nothing to it.
GRANT USAGE ON SCHEMA audit TO warren_scheduler;
GRANT EXECUTE ON FUNCTION audit.make_partitions(timestamptz, integer) TO warren_scheduler;
