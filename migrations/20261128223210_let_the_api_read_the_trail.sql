-- `GET /api/audit/events/` shows staff the trail. The API reads it and can't write it: its facts come to the trail through
-- the outbox, RabbitMQ and the consumer, like everybody's.
GRANT USAGE ON SCHEMA audit TO warren_producer_api;
GRANT SELECT ON audit.events TO warren_producer_api;
