-- An event's id is its instant, and what the trail is partitioned by. Indexes that end in it serve whoever asks for
-- a stretch of time, in the order of time, and keep to the partitions of that stretch; one that ends in `occurred_at`
-- keeps to none. A session has few rows, so its index stays as it is. None for addresses: every index costs every
-- insert, and who asks for an address has a type or a stretch of time. Inserts wait while these are built: the events
-- are in RabbitMQ meanwhile.
CREATE INDEX events_by_user_and_id ON audit.events (user_id, event_id) WHERE user_id IS NOT NULL;
CREATE INDEX events_by_type_and_id ON audit.events (type, event_id);

DROP INDEX audit.events_by_user, audit.events_by_type;
