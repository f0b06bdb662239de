-- Whether runs of one schedule may overlap, which run goes first, and how long a failed one waits.
--
-- `is_exclusive`: no other run of its schedule runs beside it. The index makes it so, whoever claims.
ALTER TABLE job_schedules
    ADD COLUMN overlap text NOT NULL DEFAULT 'allow',
    ADD COLUMN priority smallint NOT NULL DEFAULT 0,
    ADD COLUMN backoff_seconds integer NOT NULL DEFAULT 5,
    ADD COLUMN backoff_max_seconds integer NOT NULL DEFAULT 600,
    ADD CONSTRAINT job_schedules_overlap_known CHECK (overlap IN ('allow', 'skip', 'queue')),
    ADD CONSTRAINT job_schedules_backoff_range CHECK (backoff_seconds BETWEEN 1 AND backoff_max_seconds);

ALTER TABLE job_runs
    ADD COLUMN is_exclusive boolean NOT NULL DEFAULT false,
    ADD COLUMN priority smallint NOT NULL DEFAULT 0,
    ADD COLUMN backoff_seconds integer NOT NULL DEFAULT 5,
    ADD COLUMN backoff_max_seconds integer NOT NULL DEFAULT 600,
    ADD CONSTRAINT job_runs_backoff_range CHECK (backoff_seconds BETWEEN 1 AND backoff_max_seconds);

CREATE UNIQUE INDEX job_runs_exclusive ON job_runs (schedule_key) WHERE state = 'running' AND is_exclusive;
-- What a schedule that skips or queues looks at, and what a claim does.
CREATE INDEX job_runs_unfinished_of_schedule ON job_runs (schedule_key)
    WHERE state IN ('queued', 'running', 'retrying');
CREATE INDEX job_runs_running_of_schedule ON job_runs (schedule_key) WHERE state = 'running';
-- Whoever has waited for a run that is over.
CREATE INDEX job_runs_exclusive_waiting ON job_runs (schedule_key) WHERE state = 'queued' AND is_exclusive;
-- What a worker takes: the most important one that has waited longest.
CREATE INDEX job_runs_waiting ON job_runs (queue, priority DESC, run_after, id) WHERE state = 'queued';
