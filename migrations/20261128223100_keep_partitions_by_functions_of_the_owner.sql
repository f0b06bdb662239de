-- The trail is append-only for everybody but its owner: no program may change, delete or drop what is recorded. Making
-- and dropping partitions needs the owner's rights, so two functions lend them, each for that one purpose. They run as
-- the owner with a search path that nobody else can put anything into; nobody has them unless a grant says so.
CREATE OR REPLACE FUNCTION audit.make_partitions(at timestamptz, months_ahead integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    month_start timestamptz;
    name text;
    lower_id uuid;
    upper_id uuid;
    made integer := 0;
BEGIN
    -- Years of empty partitions would slow down every read.
    IF months_ahead > 24 THEN
        RAISE EXCEPTION 'partitions are made for 24 months ahead at the most, not for %', months_ahead
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('audit.make_partitions'));
    FOR ahead IN 0..months_ahead LOOP
        -- Months are UTC's, whatever the session's time zone.
        month_start := (date_trunc('month', at AT TIME ZONE 'UTC') + make_interval(months => ahead)) AT TIME ZONE 'UTC';
        name := 'events_' || to_char(month_start AT TIME ZONE 'UTC', 'YYYY_MM');
        CONTINUE WHEN to_regclass(format('audit.%I', name)) IS NOT NULL;
        lower_id := audit.first_event_id(month_start);
        upper_id := audit.first_event_id((month_start AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC');
        EXECUTE format('CREATE TABLE audit.%I (LIKE audit.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
        -- No row may slip into the default partition between the move and the attach.
        LOCK TABLE audit.events_default IN ACCESS EXCLUSIVE MODE;
        EXECUTE format(
            'WITH moved AS (DELETE FROM audit.events_default WHERE event_id >= %L AND event_id < %L RETURNING *)
             INSERT INTO audit.%I SELECT * FROM moved', lower_id, upper_id, name);
        EXECUTE format('ALTER TABLE audit.events ATTACH PARTITION audit.%I FOR VALUES FROM (%L) TO (%L)',
            name, lower_id, upper_id);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

-- Drops the oldest month of which every event is older than `audit.dropped_after()`, by the server's own clock: whoever
-- may call this can't make it drop what is younger. Gives the month and what was in it, or no row if there is none.
-- When no month is left, rows that old in the default partition go, too.
--
-- Inserts take a lock on the trail that DROP needs for itself (so does DETACH; CONCURRENTLY is not to be had beside a
-- default partition). It counts first, under a lock that stops nobody but writers of that very month, of whom there are
-- none. Then it waits for the trail for half a second at the most, since inserts wait behind it; whoever calls tries
-- again. The caller tells of it in the same transaction, and keeps that short: the lock goes with the commit.
CREATE FUNCTION audit.drop_expired_partition()
    RETURNS TABLE (partition text, rows bigint, first_at timestamptz, last_at timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '500ms' AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('audit.make_partitions'));
    SELECT expired.partition INTO partition
    FROM audit.partitions AS expired
    WHERE NOT expired.is_default AND expired.dropped_from <= clock_timestamp()
    ORDER BY expired.until_at
    LIMIT 1;
    IF FOUND THEN
        EXECUTE format('LOCK TABLE audit.%I IN SHARE MODE', partition);
        EXECUTE format('SELECT count(*), min(occurred_at), max(occurred_at) FROM audit.%I', partition)
            INTO rows, first_at, last_at;
        EXECUTE format('DROP TABLE audit.%I', partition);
        RETURN NEXT;
        RETURN;
    END IF;
    WITH gone AS (
        DELETE FROM audit.events_default
        WHERE event_id < audit.id_at(clock_timestamp() - audit.dropped_after())
        RETURNING occurred_at
    )
    SELECT 'events_default', count(*), min(occurred_at), max(occurred_at)
    INTO partition, rows, first_at, last_at
    FROM gone;
    IF rows > 0 THEN
        RETURN NEXT;
    END IF;
END $$;
COMMENT ON FUNCTION audit.drop_expired_partition() IS
    'drops the oldest month that has outlived audit.dropped_after() and gives what was in it; the job drop-audit-partitions calls it and tells of it';

REVOKE EXECUTE ON FUNCTION audit.make_partitions(timestamptz, integer), audit.drop_expired_partition() FROM PUBLIC;
