-- Events that the broker has confirmed and of which nobody has seen the row of the trail yet. A confirm says that some queue
-- has the message, not that the trail's has: a queue of somebody else makes it routable, and a queue can be deleted with all
-- that is in it. So a row is kept until the trail has it, and sent again if the trail has later ones and not this.
--
-- The key is the order in which the relays look: what was confirmed first.
CREATE TABLE outbox_confirmed (
    seq          bigint      NOT NULL,
    event_id     uuid        NOT NULL,
    exchange     text        NOT NULL,
    routing_key  text        NOT NULL,
    headers      jsonb       NOT NULL,
    body         text        NOT NULL,
    created_at   timestamptz NOT NULL,
    attempts     integer     NOT NULL,
    parkings     integer     NOT NULL,
    confirmed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (confirmed_at, seq)
)
-- Rows live for seconds: as in the outbox.
WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

COMMENT ON COLUMN outbox_confirmed.confirmed_at IS 'when the relay settled the row, having the broker''s confirm';

-- The relays look rows up in the trail and in the quarantine, and see no more of either than ids.
ALTER TABLE audit.quarantine ADD COLUMN message_id text GENERATED ALWAYS AS (properties ->> 'message_id') STORED;
CREATE INDEX quarantine_by_message_id ON audit.quarantine (message_id);

-- Rows are locked before they are moved, and `FOR UPDATE` needs the right to change some column.
GRANT SELECT, INSERT, DELETE, UPDATE (confirmed_at) ON outbox_confirmed TO warren_producer_api, warren_scheduler;
GRANT SELECT (event_id) ON audit.events TO warren_scheduler;
GRANT SELECT (message_id) ON audit.quarantine TO warren_producer_api, warren_scheduler;

CREATE VIEW audit.unrecorded AS
SELECT seq AS sequence, event_id, exchange, routing_key, created_at, confirmed_at, now() - confirmed_at AS age, parkings
FROM outbox_confirmed
WHERE NOT EXISTS (SELECT FROM audit.events WHERE events.event_id = outbox_confirmed.event_id);
COMMENT ON VIEW audit.unrecorded IS
    'Events that RabbitMQ has confirmed and the trail does not have: they are on their way through the queue audit.events (old ones: the consumers are down or behind), or lost there, and sent again once the trail has later ones (parkings: how often that was done, or no queue was bound). What lies in quarantine is here for a second at most.';
GRANT SELECT ON audit.unrecorded TO warren_operator;
