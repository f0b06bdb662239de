-- An event about an account carries that account's name, also where somebody else did it: then its data says who, as `actor`
-- (a command's) or `actor_id` (staff's over the API). The text is looked at first, since it is cheap.
CREATE OR REPLACE VIEW audit.activity AS
SELECT
    event_id,
    occurred_at,
    coalesce(
        CASE WHEN body LIKE '%"actor%' THEN coalesce(
            audit.envelope(body) -> 'data' ->> 'actor',
            'user ' || audit.as_number(audit.envelope(body) -> 'data' ->> 'actor_id')
        ) END,
        username,
        'user ' || user_id,
        '-'
    ) AS who,
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
    'The trail as a feed to read: when, who (of staff the number of the account), what, how it went, about what, from where. user_id and username are the account that the event is about, also where another acted on it. Newest first: ORDER BY event_id DESC.';
