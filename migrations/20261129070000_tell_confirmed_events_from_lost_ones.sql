-- What RabbitMQ has confirmed and the trail does not have yet waits in outbox_confirmed since then: its numbers are known, too.

-- Each limit keeps the lookup one by the key: without it the whole trail might be read to answer for a long queue.
CREATE OR REPLACE VIEW audit.unrecorded AS
SELECT seq AS sequence, outbox_confirmed.event_id, exchange, routing_key, created_at, confirmed_at, now() - confirmed_at AS age, parkings
FROM outbox_confirmed
LEFT JOIN LATERAL (
    SELECT TRUE AS there FROM audit.events WHERE events.event_id = outbox_confirmed.event_id LIMIT 1
) AS recorded ON TRUE
WHERE recorded.there IS NULL;

COMMENT ON VIEW audit.unsent IS
    'Events that were committed and are to be sent: waiting ones are on their way (old ones: RabbitMQ is away, or refuses them), parked ones can''t be routed, or were confirmed and did not arrive in the trail (reason); they are tried again by themselves after a wait that grows. Confirmed ones that have not arrived yet: audit.unrecorded. Ticks (exchange job.ticks) are commands and never become rows of the trail.';

CREATE OR REPLACE FUNCTION audit.gaps(since timestamptz, until timestamptz DEFAULT 'infinity')
RETURNS TABLE (
    after_sequence bigint, before_sequence bigint, missing bigint, unsent bigint, unexplained bigint,
    after_at timestamptz, before_at timestamptz
)
LANGUAGE sql STABLE AS $$
    -- Everything is read and sorted once, however many gaps there are.
    WITH numbers AS (
        SELECT sequence, occurred_at, FALSE AS is_on_its_way
        FROM audit.events
        WHERE sequence IS NOT NULL AND event_id >= audit.id_at(since) AND event_id < audit.id_at(until)
        UNION ALL
        SELECT sequence, NULL, TRUE FROM audit.unsent
        UNION ALL
        SELECT sequence, NULL, TRUE FROM audit.unrecorded
    ), counted AS (
        SELECT
            sequence,
            occurred_at,
            is_on_its_way,
            count(*) FILTER (WHERE is_on_its_way) OVER (
                ORDER BY sequence RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS below,
            count(*) FILTER (WHERE is_on_its_way) OVER (
                ORDER BY sequence RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS up_to
        FROM numbers
    ), neighbours AS (
        SELECT
            lag(sequence) OVER by_sequence AS after_sequence,
            sequence AS before_sequence,
            sequence - lag(sequence) OVER by_sequence - 1 AS missing,
            below - lag(up_to) OVER by_sequence AS unsent,
            lag(occurred_at) OVER by_sequence AS after_at,
            occurred_at AS before_at
        FROM counted
        WHERE NOT is_on_its_way
        WINDOW by_sequence AS (ORDER BY sequence)
    )
    SELECT after_sequence, before_sequence, missing, unsent, missing - unsent, after_at, before_at
    FROM neighbours
    WHERE missing > 0
$$;
COMMENT ON VIEW audit.gaps IS
    'Numbers of the outbox that no row of the trail has, between rows of the last day but its last minute. unsent: so many of them are known to be on their way (audit.unsent, audit.unrecorded). What it can say: where nothing is missing, nothing was lost between those rows. What it can not say: that something was. A number is drawn before its transaction commits, and stays unused if it is rolled back; each tick of a job takes one and is never recorded; a crash of PostgreSQL skips up to 32; a transaction that began before the stretch may have its number inside. A message in audit.quarantine has no number that is known. So single numbers mean nothing, many in a row are worth a look, and whether all has arrived is told by audit.unsent, audit.unrecorded and audit.quarantined being empty. Another stretch: audit.gaps(since, until).';

-- The relays look at when a row was recorded: an id from the future proves nothing.
GRANT SELECT (recorded_at) ON audit.events TO warren_scheduler;
