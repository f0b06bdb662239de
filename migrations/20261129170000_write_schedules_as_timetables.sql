-- A schedule is due by more than a cron line: every so many seconds or once, by the clocks of a time zone, from a beginning
-- until an end, and a little later than its instants so that not all begin in the same second.
ALTER TABLE job_schedules RENAME COLUMN cron TO timetable;
ALTER TABLE job_schedules
    ADD COLUMN time_zone text NOT NULL DEFAULT 'UTC',
    ADD COLUMN starts_at timestamptz,
    ADD COLUMN ends_at timestamptz,
    ADD COLUMN jitter_seconds integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT job_schedules_begin_before_end CHECK (starts_at <= ends_at),
    ADD CONSTRAINT job_schedules_jitter_range CHECK (jitter_seconds BETWEEN 0 AND 86400);
