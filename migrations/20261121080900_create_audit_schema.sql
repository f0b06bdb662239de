-- A schema of its own, so that rights on the trail can be given and withheld as a whole.
CREATE SCHEMA audit;

-- The trail. The key is the event's id, a UUIDv7, so the table is its own inbox: the same event written
-- twice is one row, for as long as the row is kept. It is partitioned on that same id, whose first 48 bits
-- are the millisecond of the event: a month is a range of ids, and a redelivery always meets its own row.
CREATE TABLE audit.events (
    event_id    uuid        PRIMARY KEY,
    type        text        NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sequence    bigint,
    user_id     bigint,
    username    text,
    session_id  uuid,
    jti         text,
    ip          inet,
    user_agent  text,
    outcome     text        NOT NULL,
    reason      text,
    request_id  uuid,
    trace_id    text,
    body        text        NOT NULL,
    CONSTRAINT events_outcome_known CHECK (outcome IN ('success', 'failure'))
) PARTITION BY RANGE (event_id);

COMMENT ON COLUMN audit.events.body IS 'the exact bytes of the message; the other columns are copies for SQL';

CREATE INDEX events_by_user ON audit.events (user_id, occurred_at DESC);
CREATE INDEX events_by_session ON audit.events (session_id);
CREATE INDEX events_by_type ON audit.events (type, occurred_at DESC);

-- An id of a month for which no partition was made lands here rather than nowhere. Watched: it should be empty.
CREATE TABLE audit.events_default PARTITION OF audit.events DEFAULT;

-- What the consumer could not read: the raw bytes, the properties they came with and why.
CREATE TABLE audit.quarantine (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest     bytea       NOT NULL CONSTRAINT quarantine_digest_key UNIQUE,
    raw        bytea       NOT NULL,
    properties jsonb       NOT NULL,
    reason     text        NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON COLUMN audit.quarantine.digest IS 'SHA-256 of message id and raw bytes: a redelivery is the same row';
