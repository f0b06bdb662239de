-- What became of accounts, and what staff and operators did.

-- Few, and asked for over all the time that the trail is kept.
CREATE INDEX events_of_operators ON audit.events (event_id) WHERE type LIKE 'operator.%';

CREATE VIEW audit.token_reuse AS
SELECT
    reuse.event_id,
    reuse.occurred_at,
    reuse.user_id,
    reuse.username,
    reuse.session_id,
    reuse.jti,
    reuse.ip,
    reuse.user_agent,
    login.occurred_at AS logged_in_at,
    login.ip AS login_ip,
    login.user_agent AS login_user_agent,
    ended.occurred_at AS session_ended_at
FROM audit.events AS reuse
LEFT JOIN LATERAL (
    SELECT occurred_at, ip, user_agent
    FROM audit.events
    WHERE session_id = reuse.session_id
        AND event_id >= audit.id_at(audit.instant_of(reuse.event_id) - interval '90 days') AND event_id < reuse.event_id
        AND type = 'auth.login.succeeded'
    ORDER BY event_id
    LIMIT 1
) AS login ON true
LEFT JOIN LATERAL (
    SELECT occurred_at
    FROM audit.events
    WHERE session_id = reuse.session_id
        AND event_id >= audit.id_at(audit.instant_of(reuse.event_id) - interval '1 hour')
        AND type = 'auth.session.ended' AND reason = 'reuse'
    ORDER BY event_id
    LIMIT 1
) AS ended ON true
WHERE reuse.type = 'auth.token.reuse_detected';
COMMENT ON VIEW audit.token_reuse IS
    'Rotated refresh tokens that were used again: two hold one session''s tokens. By whom it was used now, by whom the session was begun (if within 90 days before), and when it was ended for it; without an end REFRESH_REUSE=refuse is set, or it was over before.';

CREATE VIEW audit.lockouts AS
SELECT
    locked.event_id,
    locked.occurred_at,
    locked.data ->> 'scope' AS scope,
    locked.user_id,
    locked.username,
    locked.ip,
    locked.user_agent,
    audit.as_number(locked.data ->> 'failures') AS failures,
    audit.as_instant(locked.data ->> 'until') AS locked_until,
    unlocked.occurred_at AS unlocked_at,
    audit.as_number(unlocked.data ->> 'actor_id') AS unlocked_by
FROM (
    SELECT event_id, occurred_at, user_id, username, ip, user_agent, audit.envelope(body) -> 'data' AS data
    FROM audit.events
    WHERE type = 'auth.account.locked'
) AS locked
LEFT JOIN LATERAL (
    SELECT occurred_at, audit.envelope(body) -> 'data' AS data
    FROM audit.events
    WHERE user_id = locked.user_id
        AND event_id > locked.event_id
        AND event_id < audit.id_at(audit.as_instant(locked.data ->> 'until'))
        AND type = 'auth.account.unlocked'
    ORDER BY event_id
    LIMIT 1
) AS unlocked ON locked.data ->> 'scope' = 'account';
COMMENT ON VIEW audit.lockouts IS
    'Waits that began because too many secrets were wrong: of an account (or a name of nobody, without user_id), or of an address. unlocked_at only if somebody ended the wait of the account before its time; without unlocked_by a command did.';

CREATE VIEW audit.password_resets AS
SELECT
    asked.event_id,
    asked.occurred_at AS requested_at,
    asked.user_id,
    asked.username,
    asked.ip,
    asked.user_agent,
    CASE
        WHEN asked.reason IS NOT NULL THEN 'no mail'
        WHEN next.type = 'auth.password_reset.completed' THEN 'completed'
        WHEN next.type IS NOT NULL THEN 'asked again'
        WHEN asked.occurred_at > now() - interval '25 hours' THEN 'open'
        ELSE 'not completed'
    END AS stage,
    asked.reason AS no_mail_because,
    completed.occurred_at AS completed_at,
    completed.occurred_at - asked.occurred_at AS took,
    completed.ip AS completed_ip
FROM audit.events AS asked
LEFT JOIN LATERAL (
    SELECT type, occurred_at, ip
    FROM audit.events
    WHERE user_id = asked.user_id
        AND event_id > asked.event_id
        -- A mail is tried for a day; its link is good for minutes after that.
        AND event_id < audit.id_at(audit.instant_of(asked.event_id) + interval '25 hours')
        AND (type = 'auth.password_reset.completed' OR type = 'auth.password_reset.requested' AND reason IS NULL)
    ORDER BY event_id
    LIMIT 1
) AS next ON asked.reason IS NULL
LEFT JOIN LATERAL (SELECT next.occurred_at, next.ip) AS completed ON next.type = 'auth.password_reset.completed'
WHERE asked.type = 'auth.password_reset.requested';
COMMENT ON VIEW audit.password_resets IS
    'Each request for a link to choose a new password, and how far it came: no mail (and why), open, asked again, completed, or not completed within 25 hours. A completion counts for the last request before it, so completed / requested is a rate.';

CREATE VIEW audit.staff_actions AS
SELECT
    event_id,
    occurred_at,
    audit.as_number(audit.envelope(body) -> 'data' ->> 'actor_id') AS actor_id,
    audit.what(type, reason, 1) AS what,
    user_id,
    username,
    audit.envelope(body) ->> 'subject' AS about,
    session_id,
    ip,
    user_agent,
    type,
    request_id,
    trace_id
FROM audit.events
-- The text first: it is cheap and leaves few bodies to be read.
WHERE body LIKE '%"actor_id"%' AND audit.as_number(audit.envelope(body) -> 'data' ->> 'actor_id') IS NOT NULL;
COMMENT ON VIEW audit.staff_actions IS
    'What was done over the API by somebody (actor_id) to somebody else (user_id, username), or to the trail: whatever the event says has an actor. Give it a stretch of time.';

CREATE VIEW audit.operator_actions AS
SELECT
    event_id,
    occurred_at,
    coalesce(audit.envelope(body) -> 'data' ->> 'actor', 'user ' || (audit.envelope(body) -> 'data' ->> 'actor_id')) AS actor,
    type,
    reason,
    audit.envelope(body) ->> 'subject' AS about,
    user_agent,
    ip,
    request_id,
    audit.envelope(body) -> 'data' AS data
FROM audit.events
WHERE type LIKE 'operator.%';
COMMENT ON VIEW audit.operator_actions IS
    'What operators and their commands did to the pipeline and the trail, who says he did it (actor) and why (reason). Reads of the trail over the API are in it; reads by SQL are not: PostgreSQL tells nobody of them.';

CREATE VIEW audit.account_commands AS
SELECT event_id, occurred_at, user_agent AS command, audit.what(type, reason, 1) AS what, user_id, username, session_id, type
FROM audit.events
WHERE ip IS NULL AND user_agent LIKE 'producer-api %' AND type LIKE 'auth.%';
COMMENT ON VIEW audit.account_commands IS
    'What `producer-api` commands did to accounts, keys and tokens, such as `users disable` or `keys rotate`. Which person ran one only the machine''s own log says. Give it a stretch of time.';

GRANT SELECT ON audit.token_reuse, audit.lockouts, audit.password_resets, audit.staff_actions, audit.operator_actions,
    audit.account_commands TO warren_operator;
