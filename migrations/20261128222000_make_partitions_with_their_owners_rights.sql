-- The consumer and the scheduler make tomorrow's partitions, and may otherwise make and change no table: the function does it
-- with the rights of its owner, who is whoever migrates. So a partition has the same owner as the table, and nobody who may
-- write to the trail can take one off it. Everything that it names is qualified; the path is fixed all the same, so that
-- no caller's objects are found by it.
ALTER FUNCTION audit.make_partitions(timestamptz, integer) SECURITY DEFINER SET search_path = pg_catalog, pg_temp;

-- PostgreSQL lets everybody execute a new function. What runs with another's rights is for those it is granted to. The two
-- of triggers need no grant: a trigger fires for everybody.
REVOKE EXECUTE ON FUNCTION audit.make_partitions(timestamptz, integer) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION record_session_end(), record_user_change() FROM PUBLIC;
