-- What operators read. The username is the one the event carried, never joined: the account may be gone or
-- renamed, the trail says what was true.
CREATE VIEW audit.logins AS
SELECT event_id, occurred_at, recorded_at, user_id, username, session_id, ip, user_agent, outcome, reason, trace_id
FROM audit.events
WHERE type IN ('auth.login.succeeded', 'auth.login.failed');

CREATE VIEW audit.logouts AS
SELECT event_id, occurred_at, recorded_at, user_id, username, session_id, ip, user_agent, reason, trace_id
FROM audit.events
WHERE type = 'auth.session.ended';

CREATE VIEW audit.blacklisted_tokens AS
SELECT event_id, occurred_at, recorded_at, user_id, username, session_id, jti, ip, user_agent, reason, trace_id
FROM audit.events
WHERE type = 'auth.token.blacklisted';
