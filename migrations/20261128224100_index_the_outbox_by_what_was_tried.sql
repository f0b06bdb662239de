-- The claim, in two: rows that nobody has tried, in their order, and rows that wait for another try. With one index a
-- relay would read past a million rows that a full queue refused, at each look, to find the few that are due. The table
-- is nearly empty at all times, so the lock lasts for milliseconds.
CREATE INDEX outbox_fresh ON outbox (exchange, seq) WHERE not_before = '-infinity';
CREATE INDEX outbox_tried ON outbox (exchange, not_before) WHERE not_before > '-infinity';
DROP INDEX outbox_claim;
