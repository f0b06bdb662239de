-- The first id of the month that holds an instant: its first millisecond in the top 48 bits, zeros below.
CREATE FUNCTION audit.first_event_id(month_start timestamptz) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT
    RETURN (lpad(to_hex((extract(epoch FROM month_start) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;

-- Makes the partitions from the month of `at` to `months_ahead` months after it, where they are missing, and
-- says how many it made. Rows that had fallen into the default partition move to where they belong. Any
-- number of programs may call it at once.
CREATE FUNCTION audit.make_partitions(at timestamptz, months_ahead integer) RETURNS integer
    LANGUAGE plpgsql AS $$
DECLARE
    month_start timestamptz;
    name text;
    lower_id uuid;
    upper_id uuid;
    made integer := 0;
BEGIN
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

SELECT audit.make_partitions(clock_timestamp(), 3);
