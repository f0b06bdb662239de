-- A parked row is tried again by itself, after a wait that grows with how often it was parked: a binding that comes
-- back needs nobody who remembers to replay. The count goes with the row, into the outbox and back.
ALTER TABLE outbox ADD COLUMN parkings integer NOT NULL DEFAULT 0;
ALTER TABLE outbox_parked
    ADD COLUMN parkings integer NOT NULL DEFAULT 1,
    ADD COLUMN retry_at timestamptz NOT NULL DEFAULT clock_timestamp();

COMMENT ON COLUMN outbox.parkings IS 'how often the row was parked';
COMMENT ON COLUMN outbox_parked.retry_at IS 'when it goes back into the outbox to be tried once more';

CREATE INDEX outbox_parked_retry ON outbox_parked (retry_at);
