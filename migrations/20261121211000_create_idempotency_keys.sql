-- Requests that a client may send twice and that count once: `POST /api/tasks/` with an Idempotency-Key. The row is
-- written in the transaction of the task, before it: whoever sends the same key meanwhile waits for that transaction.
-- `request` is a digest of what was asked, so that a key used for something else is told apart; `answer` is the task as it
-- was answered, and stays the answer when the task has changed or gone. Rows are deleted after a day.
CREATE TABLE idempotency_keys (
    user_id    bigint      NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key        bytea       NOT NULL,
    request    bytea       NOT NULL,
    answer     jsonb,
    created_at timestamptz NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (user_id, key),
    CONSTRAINT idempotency_keys_key_is_sha256 CHECK (octet_length(key) = 32),
    CONSTRAINT idempotency_keys_request_is_sha256 CHECK (octet_length(request) = 32)
);

CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);
