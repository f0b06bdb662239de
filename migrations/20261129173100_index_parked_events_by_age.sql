-- How many events of each exchange are parked, and since when the oldest waits, is read at each scrape: no more rows than are
-- counted, however many of another exchange there are. The table is empty as a rule.
CREATE INDEX outbox_parked_by_age ON outbox_parked (exchange, created_at);
