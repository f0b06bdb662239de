-- Wrong secrets, counted for each account (whether or not there is one of that name) and each client address.
-- `failures` also holds the tries under way: each is counted before its secret is looked at and taken back if it was
-- right, so that tries side by side get no more than tries one after the other. `tried_at` is when the last one was
-- reserved: what a program that died had reserved counts as wrong. Nobody is locked for ever: `locked_until` is at
-- most 15 minutes (a setting) ahead, and a row is forgotten when nothing has happened for as long as the window.
CREATE TABLE login_limits (
    kind         text        NOT NULL,
    key          bytea       NOT NULL,
    subject      text,
    failures     integer     NOT NULL,
    tried_at     timestamptz NOT NULL,
    locked_until timestamptz,
    CONSTRAINT login_limits_pkey PRIMARY KEY (kind, key),
    CONSTRAINT login_limits_kind_known CHECK (kind IN ('account', 'address')),
    CONSTRAINT login_limits_key_is_sha256 CHECK (octet_length(key) = 32),
    CONSTRAINT login_limits_failures_range CHECK (failures >= 0)
);

CREATE INDEX login_limits_tried_at ON login_limits (tried_at);

COMMENT ON COLUMN login_limits.key IS 'SHA-256 of the name as it was typed, or of the address or its /64';
COMMENT ON COLUMN login_limits.subject IS
    'the account''s name if there is one, or the address; null for names of nobody, which may be a mistyped secret';
