-- One row a login. The constraint below is what "one active session a user" rests on: under that
-- policy every active session takes slot 1; unlimited sessions take no slot at all.
CREATE TABLE user_sessions (
    id          uuid        PRIMARY KEY,
    user_id     bigint      NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    slot        smallint,
    is_active   boolean     NOT NULL DEFAULT true,
    login_time  timestamptz NOT NULL,
    logout_time timestamptz,
    end_reason  text,
    ip          inet,
    user_agent  text,
    CONSTRAINT user_sessions_slot_positive CHECK (slot >= 1),
    CONSTRAINT user_sessions_ended_has_reason CHECK (
        is_active = (logout_time IS NULL) AND is_active = (end_reason IS NULL)
    )
);

CREATE UNIQUE INDEX user_sessions_slot_key ON user_sessions (user_id, slot) WHERE is_active;
CREATE INDEX user_sessions_user_id ON user_sessions (user_id, login_time DESC);
