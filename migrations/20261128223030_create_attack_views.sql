-- Who tries to get in. What is summed up takes the stretch of time as arguments, since no condition from outside
-- reaches the rows below a sum: `SELECT * FROM audit.spraying('2026-11-27', '2026-11-28')`. The view of the same name
-- is the last day. A refused try that was counted (`limited`) is told up to 10 s after it, and summed by its count.

CREATE FUNCTION audit.failed_logins_by_ip(since timestamptz, until timestamptz DEFAULT 'infinity')
RETURNS TABLE (
    window_start timestamptz, ip inet, failures numeric, accounts bigint, wrong_password numeric, unknown_user numeric,
    refused numeric, user_agents bigint, last_at timestamptz
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT
        date_bin('5 minutes', occurred_at, '2000-01-01 00:00Z') AS window_start,
        audit.network_of(ip),
        sum(audit.times(body)),
        count(DISTINCT username),
        coalesce(sum(audit.times(body)) FILTER (WHERE reason = 'wrong_password'), 0),
        coalesce(sum(audit.times(body)) FILTER (WHERE reason = 'unknown_user'), 0),
        coalesce(sum(audit.times(body)) FILTER (WHERE reason = 'limited'), 0),
        count(DISTINCT user_agent),
        max(occurred_at)
    FROM audit.events
    WHERE type = 'auth.login.failed' AND event_id >= audit.id_at(since) AND event_id < audit.id_at(until)
    GROUP BY 1, 2
$$;
CREATE VIEW audit.failed_logins_by_ip AS
SELECT * FROM audit.failed_logins_by_ip(date_bin('5 minutes', now() - interval '1 day', '2000-01-01 00:00Z'));
COMMENT ON VIEW audit.failed_logins_by_ip IS
    'Failed logins of the last day for each client address (of IPv6: /64) and 5 minutes, aggregates by their count. Another stretch: audit.failed_logins_by_ip(since, until).';

CREATE FUNCTION audit.failed_logins_by_account(since timestamptz, until timestamptz DEFAULT 'infinity')
RETURNS TABLE (
    window_start timestamptz, username text, user_id bigint, failures numeric, ips bigint, wrong_password numeric,
    refused numeric, last_at timestamptz
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT
        date_bin('5 minutes', occurred_at, '2000-01-01 00:00Z') AS window_start,
        username,
        user_id,
        sum(audit.times(body)),
        count(DISTINCT audit.network_of(ip)),
        coalesce(sum(audit.times(body)) FILTER (WHERE reason = 'wrong_password'), 0),
        coalesce(sum(audit.times(body)) FILTER (WHERE reason = 'limited'), 0),
        max(occurred_at)
    FROM audit.events
    WHERE type = 'auth.login.failed' AND event_id >= audit.id_at(since) AND event_id < audit.id_at(until)
    GROUP BY 1, 2, 3
$$;
CREATE VIEW audit.failed_logins_by_account AS
SELECT * FROM audit.failed_logins_by_account(date_bin('5 minutes', now() - interval '1 day', '2000-01-01 00:00Z'));
COMMENT ON VIEW audit.failed_logins_by_account IS
    'Failed logins of the last day for each name as it was typed and 5 minutes, aggregates by their count; without user_id nobody has the name. Another stretch: audit.failed_logins_by_account(since, until).';

CREATE FUNCTION audit.spraying(since timestamptz, until timestamptz DEFAULT 'infinity', accounts_min bigint DEFAULT 5)
RETURNS TABLE (
    window_start timestamptz, ip inet, accounts bigint, failures numeric, usernames text[], logins bigint,
    logged_in text[], last_at timestamptz
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT
        date_bin('1 hour', occurred_at, '2000-01-01 00:00Z') AS window_start,
        audit.network_of(ip),
        count(DISTINCT username) FILTER (WHERE type = 'auth.login.failed'),
        sum(audit.times(body)) FILTER (WHERE type = 'auth.login.failed'),
        (array_agg(DISTINCT username) FILTER (WHERE type = 'auth.login.failed'))[:10],
        count(*) FILTER (WHERE type = 'auth.login.succeeded'),
        (array_agg(DISTINCT username) FILTER (WHERE type = 'auth.login.succeeded'))[:10],
        max(occurred_at) FILTER (WHERE type = 'auth.login.failed')
    FROM audit.events
    WHERE type IN ('auth.login.failed', 'auth.login.succeeded') AND ip IS NOT NULL
        AND event_id >= audit.id_at(since) AND event_id < audit.id_at(until)
    GROUP BY 1, 2
    HAVING count(DISTINCT username) FILTER (WHERE type = 'auth.login.failed') >= accounts_min
$$;
CREATE VIEW audit.spraying AS
SELECT * FROM audit.spraying(date_bin('1 hour', now() - interval '1 day', '2000-01-01 00:00Z'));
COMMENT ON VIEW audit.spraying IS
    'One address (of IPv6: /64) that failed to log in to five names or more within an hour of the clock, in the last day; logins are those it got in the same hour. Otherwise: audit.spraying(since, until, accounts_min). An office behind one address looks like it, too.';

CREATE FUNCTION audit.stuffing(since timestamptz, until timestamptz DEFAULT 'infinity', ips_min bigint DEFAULT 5)
RETURNS TABLE (
    window_start timestamptz, username text, user_id bigint, ips bigint, failures numeric, addresses inet[],
    logins bigint, last_at timestamptz
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT
        date_bin('1 hour', occurred_at, '2000-01-01 00:00Z') AS window_start,
        username,
        max(user_id),
        count(DISTINCT audit.network_of(ip)) FILTER (WHERE type = 'auth.login.failed'),
        sum(audit.times(body)) FILTER (WHERE type = 'auth.login.failed'),
        (array_agg(DISTINCT audit.network_of(ip)) FILTER (WHERE type = 'auth.login.failed'))[:10],
        count(*) FILTER (WHERE type = 'auth.login.succeeded'),
        max(occurred_at) FILTER (WHERE type = 'auth.login.failed')
    FROM audit.events
    WHERE type IN ('auth.login.failed', 'auth.login.succeeded')
        AND event_id >= audit.id_at(since) AND event_id < audit.id_at(until)
    GROUP BY 1, 2
    HAVING count(DISTINCT audit.network_of(ip)) FILTER (WHERE type = 'auth.login.failed') >= ips_min
$$;
CREATE VIEW audit.stuffing AS
SELECT * FROM audit.stuffing(date_bin('1 hour', now() - interval '1 day', '2000-01-01 00:00Z'));
COMMENT ON VIEW audit.stuffing IS
    'One name at which five addresses or more (of IPv6: /64) failed within an hour of the clock, in the last day; logins are those that succeeded in the same hour, from anywhere. Otherwise: audit.stuffing(since, until, ips_min).';

CREATE VIEW audit.success_after_failures AS
SELECT
    login.event_id,
    login.occurred_at,
    login.user_id,
    login.username,
    login.session_id,
    login.ip,
    login.user_agent,
    failed.failures,
    failed.networks,
    audit.network_of(login.ip) = ANY (failed.networks) AS failed_from_same_network
FROM audit.events AS login
CROSS JOIN LATERAL (
    SELECT sum(audit.times(body)) AS failures, array_agg(DISTINCT audit.network_of(ip)) AS networks
    FROM audit.events
    WHERE user_id = login.user_id
        AND event_id >= audit.id_at(audit.instant_of(login.event_id) - interval '1 hour') AND event_id < login.event_id
        AND type = 'auth.login.failed'
) AS failed
WHERE login.type = 'auth.login.succeeded' AND failed.failures >= 3;
COMMENT ON VIEW audit.success_after_failures IS
    'Logins that succeeded after three failed tries or more at the same account within the hour before, aggregates by their count: a guessed password, or a forgetful owner. If the failures came from elsewhere (failed_from_same_network is false), the owner may have logged in beside an attack.';

CREATE VIEW audit.new_ip_logins AS
SELECT
    login.event_id,
    login.occurred_at,
    login.user_id,
    login.username,
    login.session_id,
    login.ip,
    login.user_agent,
    latest.occurred_at AS last_login_at,
    latest.ip AS last_login_ip
FROM audit.events AS login
LEFT JOIN LATERAL (
    SELECT occurred_at, ip
    FROM audit.events
    WHERE user_id = login.user_id
        AND event_id >= audit.id_at(audit.instant_of(login.event_id) - interval '90 days') AND event_id < login.event_id
        AND type = 'auth.login.succeeded'
    ORDER BY event_id DESC
    LIMIT 1
) AS latest ON true
WHERE login.type = 'auth.login.succeeded' AND login.ip IS NOT NULL
    AND NOT EXISTS (
        SELECT
        FROM audit.events AS earlier
        WHERE earlier.user_id = login.user_id
            AND earlier.event_id >= audit.id_at(audit.instant_of(login.event_id) - interval '90 days')
            AND earlier.event_id < login.event_id
            AND earlier.type = 'auth.login.succeeded'
            AND audit.network_of(earlier.ip) = audit.network_of(login.ip)
        -- Looked up for each login by user and time, never by one join over the whole trail.
        OFFSET 0
    );
COMMENT ON VIEW audit.new_ip_logins IS
    'Logins from an address (of IPv6: /64) from which the same user had not logged in for 90 days, and where he did last; without last_login_at it is his first login in that time.';

GRANT SELECT ON audit.failed_logins_by_ip, audit.failed_logins_by_account, audit.spraying, audit.stuffing,
    audit.success_after_failures, audit.new_ip_logins TO warren_operator;
