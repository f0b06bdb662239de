-- Whether the trail is well: how late rows are, what has not arrived, what can't be read, how long what is kept.

CREATE FUNCTION audit.pipeline_lag(since timestamptz, until timestamptz DEFAULT 'infinity')
RETURNS TABLE (minute timestamptz, events bigint, p50 interval, p95 interval, p99 interval, longest interval)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT
        date_trunc('minute', occurred_at, 'UTC'),
        count(*),
        percentile_cont(0.5) WITHIN GROUP (ORDER BY recorded_at - occurred_at),
        percentile_cont(0.95) WITHIN GROUP (ORDER BY recorded_at - occurred_at),
        percentile_cont(0.99) WITHIN GROUP (ORDER BY recorded_at - occurred_at),
        max(recorded_at - occurred_at)
    FROM audit.events
    WHERE event_id >= audit.id_at(since) AND event_id < audit.id_at(until)
    GROUP BY 1
$$;
CREATE VIEW audit.pipeline_lag AS
SELECT * FROM audit.pipeline_lag(date_trunc('minute', now() - interval '1 hour'));
COMMENT ON VIEW audit.pipeline_lag IS
    'From a fact to its row, for each minute of the last hour in which facts arose: median, 95th and 99th percentile, the longest. It speaks of rows that have arrived: while the pipeline stands still, minutes are missing and audit.unsent fills. Two machines'' clocks are compared, so a negative lag is a clock that is ahead. Another stretch: audit.pipeline_lag(since, until).';

CREATE VIEW audit.unsent AS
SELECT 'waiting' AS state, seq AS sequence, event_id, exchange, routing_key, created_at, now() - created_at AS age,
    attempts, NULL::text AS reason
FROM outbox
UNION ALL
SELECT 'parked', seq, event_id, exchange, routing_key, created_at, now() - created_at, attempts, reason
FROM outbox_parked;
COMMENT ON VIEW audit.unsent IS
    'Events that were committed and that RabbitMQ has not confirmed: waiting ones are on their way (old ones: RabbitMQ is away, or refuses them), parked ones can''t be routed and wait for an operator. Ticks (exchange job.ticks) are commands and never become rows of the trail.';

CREATE FUNCTION audit.gaps(since timestamptz, until timestamptz DEFAULT 'infinity')
RETURNS TABLE (
    after_sequence bigint, before_sequence bigint, missing bigint, unsent bigint, unexplained bigint,
    after_at timestamptz, before_at timestamptz
)
LANGUAGE sql STABLE AS $$
    SELECT
        neighbours.after_sequence,
        neighbours.before_sequence,
        neighbours.missing,
        known.unsent,
        neighbours.missing - known.unsent,
        neighbours.after_at,
        neighbours.before_at
    FROM (
        SELECT
            lag(sequence) OVER by_sequence AS after_sequence,
            sequence AS before_sequence,
            sequence - lag(sequence) OVER by_sequence - 1 AS missing,
            lag(occurred_at) OVER by_sequence AS after_at,
            occurred_at AS before_at
        FROM audit.events
        WHERE sequence IS NOT NULL AND event_id >= audit.id_at(since) AND event_id < audit.id_at(until)
        WINDOW by_sequence AS (ORDER BY sequence)
    ) AS neighbours
    CROSS JOIN LATERAL (
        SELECT count(*) AS unsent
        FROM audit.unsent
        WHERE sequence > neighbours.after_sequence AND sequence < neighbours.before_sequence
    ) AS known
    WHERE neighbours.missing > 0
$$;
CREATE VIEW audit.gaps AS
SELECT * FROM audit.gaps(now() - interval '1 day', now() - interval '1 minute');
COMMENT ON VIEW audit.gaps IS
    'Numbers of the outbox that no row of the trail has, between rows of the last day but its last minute. What it can say: where nothing is missing, nothing was lost between those rows. What it can not say: that something was. A number is drawn before its transaction commits, and stays unused if it is rolled back; each tick of a job takes one and is never recorded; a crash of PostgreSQL skips up to 32; a transaction that began before the stretch may have its number inside. A message may also lie in the queue audit.events, in dead.letters or in audit.quarantine, where no number is known. So single numbers mean nothing, many in a row are worth a look, and whether all has arrived is told by audit.unsent, both queues and audit.quarantined being empty. Another stretch: audit.gaps(since, until).';

CREATE VIEW audit.quarantined AS
SELECT
    quarantine.id,
    quarantine.first_seen,
    now() - quarantine.first_seen AS age,
    quarantine.reason,
    quarantine.properties ->> 'message_id' AS message_id,
    quarantine.properties ->> 'type' AS type,
    quarantine.properties ->> 'exchange' AS exchange,
    quarantine.properties ->> 'routing_key' AS routing_key,
    octet_length(quarantine.raw) AS bytes,
    encode(substring(quarantine.raw FOR 200), 'escape') AS beginning,
    EXISTS (
        SELECT
        FROM audit.events
        WHERE event_id = CASE
            WHEN quarantine.properties ->> 'message_id' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
            THEN (quarantine.properties ->> 'message_id')::uuid
        END
    ) AS recorded
FROM audit.quarantine;
COMMENT ON VIEW audit.quarantined IS
    'Messages that could not be read: since when, why, from where, and how they begin (bytes that are no ASCII escaped). recorded: the trail has an event of that message id all the same. Kept until somebody replays or discards them: what is in them was perhaps never recorded, so no job deletes it.';

-- The programs have the same figure (shared/src/retention.rs), and a test holds them together.
CREATE FUNCTION audit.kept_for() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN interval '400 days';
COMMENT ON FUNCTION audit.kept_for() IS
    'how long an event is kept at the least; the consumer sets aside what is older, so that a row that was dropped never comes again';

CREATE FUNCTION audit.dropped_after() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN audit.kept_for() + interval '2 days';
COMMENT ON FUNCTION audit.dropped_after() IS
    'how long after its last instant a partition may be dropped: later than the consumer refuses its events, by more than clocks differ and a batch waits';

CREATE VIEW audit.partitions AS
SELECT
    part.name AS partition,
    part.from_at,
    part.until_at,
    part.is_default,
    CASE
        WHEN part.is_default THEN (SELECT count(*) FROM audit.events_default)
        ELSE nullif(part.reltuples, -1)::bigint
    END AS rows_about,
    pg_total_relation_size(part.oid) AS bytes,
    part.until_at + audit.dropped_after() AS dropped_from
FROM (
    SELECT
        child.oid,
        child.relname AS name,
        child.reltuples,
        bounds.text = 'DEFAULT' AS is_default,
        audit.instant_of(substring(bounds.text FROM $$FROM \('([0-9a-f-]{36})'\)$$)::uuid) AS from_at,
        audit.instant_of(substring(bounds.text FROM $$TO \('([0-9a-f-]{36})'\)$$)::uuid) AS until_at
    FROM pg_inherits
    JOIN pg_class AS child ON child.oid = pg_inherits.inhrelid
    CROSS JOIN LATERAL (SELECT pg_get_expr(child.relpartbound, child.oid) AS text) AS bounds
    WHERE pg_inherits.inhparent = 'audit.events'::regclass
) AS part;
COMMENT ON VIEW audit.partitions IS
    'The months of the trail: rows as PostgreSQL last estimated them, bytes with indexes, and from when on drop-audit-partitions takes the month away. The default partition, whose rows are counted, should be empty: a row there has an id of a month for which no partition was made.';

GRANT SELECT ON audit.pipeline_lag, audit.unsent, audit.gaps, audit.quarantined, audit.partitions TO warren_operator;
