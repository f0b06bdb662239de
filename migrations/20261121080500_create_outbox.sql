-- Events committed and not yet confirmed by the broker. A row is written in the transaction of the fact it
-- tells and deleted once the broker has confirmed it. `seq` is drawn after the lock of the row that changed,
-- so it orders the facts of one user; it commits out of order, so nobody may read "seq > last seen".
CREATE TABLE outbox (
    seq         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id    uuid        NOT NULL CONSTRAINT outbox_event_id_key UNIQUE,
    exchange    text        NOT NULL,
    routing_key text        NOT NULL,
    headers     jsonb       NOT NULL,
    body        text        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    not_before  timestamptz NOT NULL DEFAULT '-infinity',
    attempts    integer     NOT NULL DEFAULT 0,
    returns     integer     NOT NULL DEFAULT 0
)
-- Rows live for milliseconds: vacuum early, or the claim reads dead index entries.
WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

COMMENT ON COLUMN outbox.attempts IS 'tries that were not confirmed, for whatever reason';
COMMENT ON COLUMN outbox.returns IS 'tries that the broker could not route; after a few the row is parked';

-- The claim: the oldest due rows of one exchange.
CREATE INDEX outbox_claim ON outbox (exchange, seq);

-- Rows the broker could not route after several tries. They wait for an operator.
CREATE TABLE outbox_parked (
    seq         bigint      PRIMARY KEY,
    event_id    uuid        NOT NULL CONSTRAINT outbox_parked_event_id_key UNIQUE,
    exchange    text        NOT NULL,
    routing_key text        NOT NULL,
    headers     jsonb       NOT NULL,
    body        text        NOT NULL,
    created_at  timestamptz NOT NULL,
    attempts    integer     NOT NULL,
    parked_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    reason      text        NOT NULL
);
