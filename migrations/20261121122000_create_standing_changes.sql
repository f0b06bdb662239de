-- Which sessions ended and which users' standing changed: each replica of the API reads this once a second and so
-- never believes anything older than two seconds, whatever RabbitMQ does. Triggers write it, so that every way of
-- changing counts, also an operator's SQL.
--
-- A reader remembers the snapshot of its last read and asks for what was not visible in it. So a transaction that began
-- long before that read and commits long after it is found, no clock is compared, and nothing is read twice.
--
-- TRUNCATE fires no row trigger and is not covered: whoever empties `users` or `user_sessions` whole restarts the API.
CREATE TABLE standing_changes (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id     bigint      NOT NULL,
    session_id  uuid,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    transaction xid8        NOT NULL DEFAULT pg_current_xact_id(),
    horizon     xid8        NOT NULL DEFAULT pg_snapshot_xmin(pg_current_snapshot())
);

CREATE INDEX standing_changes_transaction ON standing_changes (transaction);
CREATE INDEX standing_changes_at ON standing_changes (at);

COMMENT ON COLUMN standing_changes.session_id IS 'the session that ended; null when the user himself changed';
COMMENT ON COLUMN standing_changes.horizon IS
    'every transaction before this one had ended at `at`: the purge tells by it what every replica has read';

-- With the rights of their owner: whoever may change a user needs no right to this table.
CREATE FUNCTION record_session_end() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.standing_changes (user_id, session_id) VALUES (OLD.user_id, OLD.id);
    RETURN NULL;
END
$$;

CREATE FUNCTION record_user_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.standing_changes (user_id) VALUES (OLD.id);
    RETURN NULL;
END
$$;

CREATE TRIGGER user_sessions_ended AFTER UPDATE ON user_sessions
    FOR EACH ROW WHEN (OLD.is_active AND NOT NEW.is_active) EXECUTE FUNCTION record_session_end();

CREATE TRIGGER user_sessions_deleted AFTER DELETE ON user_sessions
    FOR EACH ROW WHEN (OLD.is_active) EXECUTE FUNCTION record_session_end();

-- The columns that a request is judged by: tokens of imported users carry a mark of the password itself. A login writes
-- other ones (last_login, login_failures) all the time; that it may hash the password anew is one more change.
CREATE TRIGGER users_changed AFTER UPDATE ON users
    FOR EACH ROW
    WHEN ((OLD.username, OLD.is_active, OLD.is_staff, OLD.is_superuser, OLD.password, OLD.password_stamp)
        IS DISTINCT FROM (NEW.username, NEW.is_active, NEW.is_staff, NEW.is_superuser, NEW.password, NEW.password_stamp))
    EXECUTE FUNCTION record_user_change();

CREATE TRIGGER users_deleted AFTER DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION record_user_change();
