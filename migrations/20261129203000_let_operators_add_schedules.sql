-- An operator may add a schedule, for a job that a program of others does. No build declares it, so none retires it.
ALTER TABLE job_schedules DROP CONSTRAINT job_schedules_origin_known;
ALTER TABLE job_schedules
    ADD CONSTRAINT job_schedules_origin_known CHECK (origin IN ('registry', 'enqueued', 'operator'));
