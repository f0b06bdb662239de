-- Operators read the trail, the jobs, the sessions and the tokens; never users.password. The role is
-- cluster-wide and made beforehand by `producer-api database create-roles` (or by an administrator);
-- migrations only grant.
GRANT USAGE ON SCHEMA audit, public TO warren_operator;
GRANT SELECT ON ALL TABLES IN SCHEMA audit TO warren_operator;
GRANT SELECT ON job_schedules, job_runs, job_gaps TO warren_operator;
GRANT SELECT ON user_sessions, outstanding_tokens, blacklisted_tokens TO warren_operator;

-- Tomorrow's partitions, too: those that whoever runs this migration will make.
ALTER DEFAULT PRIVILEGES IN SCHEMA audit GRANT SELECT ON TABLES TO warren_operator;
