-- Its job `drop-audit-partitions` calls the function, which drops what is old enough by the server's own clock and
-- nothing else. The other programs have no use for it, and operators drop nothing.
GRANT EXECUTE ON FUNCTION audit.drop_expired_partition() TO warren_scheduler;
