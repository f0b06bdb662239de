-- The secrets behind mailed links, as SHA-256 of 32 random bytes: whoever reads this table can follow no link.
-- The worker draws a secret at each send, under the attempt it holds; a user has at most three live ones for a purpose
-- (a newer one ends the oldest), and all of them end when one is used or its purpose is gone. Ended rows stay until
-- they would have expired, so that a second use can be told from a forgery.
CREATE TABLE mail_tokens (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id    bigint      NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose    text        NOT NULL,
    secret     bytea       NOT NULL CONSTRAINT mail_tokens_secret_key UNIQUE,
    email      text        NOT NULL,
    run_id     uuid        NOT NULL,
    attempt    integer     NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at   timestamptz,
    end_reason text,
    CONSTRAINT mail_tokens_purpose_known CHECK (purpose IN ('verify_email', 'change_email', 'reset_password')),
    CONSTRAINT mail_tokens_secret_is_sha256 CHECK (octet_length(secret) = 32),
    CONSTRAINT mail_tokens_attempt_key UNIQUE (run_id, attempt),
    CONSTRAINT mail_tokens_ended_has_reason CHECK ((ended_at IS NULL) = (end_reason IS NULL)),
    CONSTRAINT mail_tokens_end_reason_known CHECK (end_reason IN ('used', 'superseded', 'withdrawn'))
);

CREATE INDEX mail_tokens_live ON mail_tokens (user_id, purpose, id) WHERE ended_at IS NULL;
CREATE INDEX mail_tokens_expires_at ON mail_tokens (expires_at);

COMMENT ON COLUMN mail_tokens.email IS 'the address the link was sent to: using it proves that one and no other';
COMMENT ON COLUMN mail_tokens.end_reason IS
    'used: followed; superseded: the fourth-newest; withdrawn: another one was used, or its purpose is gone';
