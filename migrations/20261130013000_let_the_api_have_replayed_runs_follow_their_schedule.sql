-- A run that is replayed follows the rule for overlap that its schedule has by now.
GRANT UPDATE (is_exclusive) ON job_runs TO warren_producer_api;
