-- Who did what: a feed, one user, one session. The username is the one the event carried, never joined. Each view
-- has the event's id: `event_id >= audit.since('1 hour')` keeps a query to the partitions it must read.

CREATE FUNCTION audit.what(type text, reason text, times bigint) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN translate(regexp_replace(type, '^auth\.', ''), '._', '  ')
        || coalesce(': ' || reason, '')
        || CASE WHEN times > 1 THEN ', ' || times || ' times' ELSE '' END;
COMMENT ON FUNCTION audit.what(text, text, bigint) IS 'an event in words, such as "login failed: wrong_password, 3 times"';

CREATE VIEW audit.activity AS
SELECT
    event_id,
    occurred_at,
    coalesce(username, 'user ' || user_id, audit.envelope(body) -> 'data' ->> 'actor', '-') AS who,
    audit.what(type, reason, audit.times(body)) AS what,
    outcome,
    audit.envelope(body) ->> 'subject' AS about,
    ip,
    user_agent,
    user_id,
    username,
    session_id,
    type,
    reason,
    audit.times(body) AS times,
    request_id,
    trace_id
FROM audit.events;
COMMENT ON VIEW audit.activity IS
    'The trail as a feed to read: when, who, what, how it went, about what, from where. Newest first: ORDER BY event_id DESC.';

CREATE VIEW audit.user_timeline AS
SELECT
    user_id,
    sequence,
    event_id,
    occurred_at,
    username,
    audit.what(type, reason, audit.times(body)) AS what,
    outcome,
    session_id,
    ip,
    user_agent,
    type,
    reason,
    audit.envelope(body) -> 'data' AS data,
    request_id,
    trace_id
FROM audit.events
WHERE user_id IS NOT NULL;
COMMENT ON VIEW audit.user_timeline IS
    'Everything about one account: WHERE user_id = 7 ORDER BY sequence, which is the order in which its facts happened, whatever the clocks of the replicas said. What he did to others as staff is in audit.staff_actions.';

CREATE VIEW audit.session_history AS
SELECT
    login.event_id,
    login.session_id,
    login.user_id,
    login.username,
    login.occurred_at AS logged_in_at,
    ended.occurred_at AS ended_at,
    ended.reason AS end_reason,
    ended.occurred_at - login.occurred_at AS duration,
    login.ip,
    login.user_agent,
    refreshed.refreshes,
    refreshed.last_refreshed_at,
    refreshed.other_networks
FROM audit.events AS login
-- What happens in a session comes after its login; an hour more for clocks that differ.
LEFT JOIN LATERAL (
    SELECT occurred_at, reason
    FROM audit.events
    WHERE session_id = login.session_id
        AND event_id >= audit.id_at(audit.instant_of(login.event_id) - interval '1 hour')
        AND type = 'auth.session.ended'
    ORDER BY event_id
    LIMIT 1
) AS ended ON true
CROSS JOIN LATERAL (
    SELECT
        count(*) AS refreshes,
        max(occurred_at) AS last_refreshed_at,
        count(DISTINCT audit.network_of(ip)) FILTER (WHERE audit.network_of(ip) <> audit.network_of(login.ip)) AS other_networks
    FROM audit.events
    WHERE session_id = login.session_id
        AND event_id >= audit.id_at(audit.instant_of(login.event_id) - interval '1 hour')
        AND type = 'auth.token.refreshed'
) AS refreshed
WHERE login.type = 'auth.login.succeeded' AND login.session_id IS NOT NULL;
COMMENT ON VIEW audit.session_history IS
    'One row a session that began in the trail: login, end, why, how long, from where, refreshes and from how many networks other than the login''s. Without an end: it goes on, or its end has not arrived. The event id is the login''s. The table user_sessions has the present; this is what was told.';

-- The first three views had no words yet.
COMMENT ON VIEW audit.logins IS
    'Logins that succeeded or failed. A failed one may stand for several: audit.times(body) of its event, or audit.activity, says for how many.';
COMMENT ON VIEW audit.logouts IS 'Sessions that ended, and why.';
COMMENT ON VIEW audit.blacklisted_tokens IS 'Refresh tokens that are refused from then on, by their ids, and why.';

GRANT SELECT ON audit.activity, audit.user_timeline, audit.session_history TO warren_operator;
