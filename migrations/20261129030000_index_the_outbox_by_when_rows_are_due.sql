-- One index for the claim, and one that the planner can't do without. The two partial ones gave the order of `seq`, which the
-- primary key gives, too: with statistics of a backlog of one exchange it read past the whole of it for each of the others.
-- Rows that nobody has tried come first: their `not_before` is `-infinity`.
CREATE INDEX outbox_due ON outbox (exchange, not_before, seq);
DROP INDEX outbox_fresh, outbox_tried;
