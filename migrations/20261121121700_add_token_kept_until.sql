-- Until when the row of a token must be kept: past its expiry by the leeway, and by the life of the access tokens made
-- from it, so that a blacklisted token does not come back within its leeway and a session does not end before its last
-- access token. The API knows these lifetimes, the job that deletes the rows does not. Empty in rows written before:
-- there expires_at counts.
ALTER TABLE outstanding_tokens ADD COLUMN kept_until timestamptz;

CREATE INDEX outstanding_tokens_kept_until ON outstanding_tokens (COALESCE(kept_until, expires_at));
DROP INDEX outstanding_tokens_expires_at;
