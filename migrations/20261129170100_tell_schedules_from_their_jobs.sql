-- A job may have several schedules, each with arguments of its own: code makes them beside that of the registry, which bears
-- the key of its job. An instant belongs to a schedule. Runs that no schedule made have instants of their job.
ALTER TABLE job_schedules ADD COLUMN schedule_key text;
UPDATE job_schedules SET schedule_key = job_key;
ALTER TABLE job_schedules DROP CONSTRAINT job_schedules_pkey;
ALTER TABLE job_schedules ADD PRIMARY KEY (schedule_key);

ALTER TABLE job_gaps RENAME COLUMN job_key TO schedule_key;

ALTER TABLE job_runs ADD COLUMN schedule_key text;
UPDATE job_runs SET schedule_key = job_key;
ALTER TABLE job_runs ALTER COLUMN schedule_key SET NOT NULL;
ALTER TABLE job_runs DROP CONSTRAINT job_runs_tick_key;
ALTER TABLE job_runs ADD CONSTRAINT job_runs_tick_key UNIQUE (schedule_key, scheduled_at);

-- It enqueues mails, each at an instant that is free.
GRANT SELECT (schedule_key) ON job_runs TO warren_producer_api;
