-- Every refresh token ever given out, by its id (jti) alone: neither the token nor a hash of it is kept,
-- so that a copy of this table opens no door. A token minted elsewhere with the shared key has no
-- session, and a user only if he exists.
CREATE TABLE outstanding_tokens (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    jti        text        NOT NULL CONSTRAINT outstanding_tokens_jti_key UNIQUE,
    user_id    bigint      REFERENCES users (id) ON DELETE SET NULL,
    session_id uuid        REFERENCES user_sessions (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT outstanding_tokens_jti_length CHECK (char_length(jti) BETWEEN 1 AND 255)
);

CREATE INDEX outstanding_tokens_session_id ON outstanding_tokens (session_id);
CREATE INDEX outstanding_tokens_user_id ON outstanding_tokens (user_id);
CREATE INDEX outstanding_tokens_expires_at ON outstanding_tokens (expires_at);
