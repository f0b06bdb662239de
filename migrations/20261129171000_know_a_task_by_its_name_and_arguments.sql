-- Code that enqueues may want a task once: not again while one with the same job and arguments waits, or in place of it. The hash
-- is of both; none for those that may be there any number of times.
ALTER TABLE job_runs ADD COLUMN task_hash text, ADD COLUMN verbose_name text NOT NULL DEFAULT '';
ALTER TABLE job_schedules ADD COLUMN task_hash text;
CREATE INDEX job_runs_waiting_task ON job_runs (task_hash)
    WHERE task_hash IS NOT NULL AND state IN ('queued', 'retrying');
CREATE INDEX job_schedules_task ON job_schedules (task_hash) WHERE task_hash IS NOT NULL;
GRANT DELETE ON job_schedules TO warren_scheduler;
