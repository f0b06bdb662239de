//! What the tables hold against what the trail tells of them, row by row and in both directions: tasks, accounts, sessions,
//! tokens. It fits what the load of the suite does (`load.rs`), with `ROTATE_REFRESH_TOKENS` and `BLACKLIST_AFTER_ROTATION`.

use sqlx::PgPool;

/// What differs, in words.
pub async fn untold(database: &PgPool) -> Result<Vec<String>, sqlx::Error> {
    let mut differing = Vec::new();
    for query in [TASKS, ACCOUNTS, SESSIONS, BLACKLIST, TOKENS, ROTATIONS] {
        differing.extend(sqlx::query_scalar::<_, String>(query).fetch_all(database).await?);
    }
    Ok(differing)
}

/// Tasks of this run's users that differ from their last event.
const TASKS: &str = "\
    WITH last AS ( \
        SELECT DISTINCT ON (body::jsonb #>> '{data,task,id}') type, (body::jsonb #>> '{data,task,id}')::bigint AS id, \
            (body::jsonb #>> '{data,task,version}')::bigint AS version, body::jsonb #>> '{data,task,title}' AS title \
        FROM audit.events WHERE type LIKE 'task.%' AND user_id <> 0 \
        ORDER BY body::jsonb #>> '{data,task,id}', sequence DESC \
    ) \
    SELECT 'task ' || COALESCE(tasks.id, last.id) || ' has version ' || COALESCE(tasks.version::text, 'none') \
        || ' and its events say ' || COALESCE(last.version::text, 'nothing') \
    FROM tasks FULL JOIN (SELECT * FROM last WHERE type <> 'task.deleted') AS last USING (id) \
    WHERE (tasks.version, tasks.title) IS DISTINCT FROM (last.version, last.title) LIMIT 1000";

/// Accounts that nobody was told of, or of whose deletion nobody was, and the other way round.
const ACCOUNTS: &str = "\
    WITH told AS ( \
        SELECT DISTINCT user_id AS id, username FROM audit.events WHERE type = 'auth.user.registered' AND user_id NOT IN \
            (SELECT user_id FROM audit.events WHERE type = 'auth.account.deleted' AND user_id IS NOT NULL) \
    ) \
    SELECT 'account ' || id || ' is ' || COALESCE(users.username, 'not there') || ' and its events say ' \
        || COALESCE(told.username, 'that it is not') \
    FROM users FULL JOIN told USING (id) WHERE users.username IS DISTINCT FROM told.username LIMIT 1000";

/// Sessions whose beginning or end was told otherwise than it is. Those of a deleted account went with it, and ended before.
const SESSIONS: &str = "\
    WITH begun AS ( \
        SELECT DISTINCT session_id AS id, user_id FROM audit.events WHERE type = 'auth.login.succeeded' \
    ), ended AS ( \
        SELECT DISTINCT session_id AS id, reason FROM audit.events WHERE type = 'auth.session.ended' \
    ), all_told AS ( \
        SELECT id, begun.user_id, ended.reason FROM begun FULL JOIN ended USING (id) \
    ) \
    SELECT 'session ' || id || ' of account ' || COALESCE(kept.user_id::text, 'nobody') || ' is ' \
        || CASE WHEN kept.id IS NULL THEN 'not there' ELSE COALESCE(end_reason, 'active') END || ' and its events say ' \
        || COALESCE(told.user_id::text, 'nobody') || ', ' || COALESCE(reason, 'active') \
    FROM user_sessions AS kept FULL JOIN all_told AS told USING (id) \
    WHERE CASE WHEN kept.id IS NULL AND NOT EXISTS (SELECT FROM users WHERE users.id = told.user_id) \
        THEN told.user_id IS NULL OR reason IS NULL \
        ELSE (kept.user_id, end_reason) IS DISTINCT FROM (told.user_id, reason) END LIMIT 1000";

/// Tokens on the blacklist that were not told of, or for another reason, and the other way round.
const BLACKLIST: &str = "\
    WITH told AS ( \
        SELECT DISTINCT jti, reason FROM audit.events WHERE type = 'auth.token.blacklisted' \
    ), kept AS ( \
        SELECT jti, reason FROM blacklisted_tokens JOIN outstanding_tokens ON outstanding_tokens.id = token_id \
    ) \
    SELECT 'token ' || jti || ' is ' || COALESCE(kept.reason, 'not blacklisted') || ' and its events say ' \
        || COALESCE(told.reason, 'that it is not') \
    FROM kept FULL JOIN told USING (jti) WHERE kept.reason IS DISTINCT FROM told.reason LIMIT 1000";

/// Tokens that no login gave and that took no other's place, and logins whose token is not known.
const TOKENS: &str = "\
    WITH given AS ( \
        SELECT DISTINCT jti, session_id FROM audit.events WHERE type = 'auth.login.succeeded' \
    ), kept AS ( \
        SELECT jti, session_id, EXISTS (SELECT FROM blacklisted_tokens WHERE successor_id = outstanding_tokens.id) AS is_successor \
        FROM outstanding_tokens \
    ) \
    SELECT 'token ' || jti || CASE WHEN is_successor IS NULL THEN ' of a login is not known' \
        WHEN is_successor THEN ' of a login took the place of another' WHEN given.jti IS NULL THEN ' was given by no login' \
        ELSE ' is of another session' END \
    FROM kept FULL JOIN given USING (jti) \
    WHERE is_successor IS NULL OR (given.jti IS NULL) <> is_successor OR kept.session_id <> given.session_id LIMIT 1000";

/// Tokens that were exchanged and not told of, or told and not exchanged.
const ROTATIONS: &str = "\
    WITH told AS ( \
        SELECT DISTINCT jti FROM audit.events WHERE type = 'auth.token.refreshed' \
    ), kept AS ( \
        SELECT jti, successor_id FROM blacklisted_tokens JOIN outstanding_tokens ON outstanding_tokens.id = token_id \
        WHERE reason = 'rotated' \
    ) \
    SELECT 'token ' || jti || CASE WHEN told.jti IS NULL THEN ' was exchanged and no event says so' \
        WHEN kept.jti IS NULL THEN ' was refreshed and not exchanged' ELSE ' has no successor' END \
    FROM kept FULL JOIN told USING (jti) \
    WHERE told.jti IS NULL OR successor_id IS NULL LIMIT 1000";
