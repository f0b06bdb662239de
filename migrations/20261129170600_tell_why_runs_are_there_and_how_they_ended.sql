-- Why a run is there, since when it has been due, who wanted it, of what kind its last error was, whether somebody wants it to
-- end, how many attempts it had before somebody gave it new ones, and how many of those since don't count: they came to a build
-- that has no such job.
ALTER TABLE job_runs
    ADD COLUMN kind text NOT NULL DEFAULT 'scheduled',
    ADD COLUMN creator text,
    ADD COLUMN error_kind text,
    ADD COLUMN due_at timestamptz,
    ADD COLUMN attempts_before integer NOT NULL DEFAULT 0,
    ADD COLUMN attempts_uncounted integer NOT NULL DEFAULT 0,
    ADD COLUMN replayed_at timestamptz,
    ADD COLUMN cancel_reason text,
    ADD CONSTRAINT job_runs_kind_known CHECK (kind IN ('scheduled', 'enqueued', 'manual', 'backfill')),
    ADD CONSTRAINT job_runs_error_kind_known CHECK (
        error_kind IN ('passing', 'lasting', 'panicked', 'timed_out', 'unknown_job', 'lease_lost', 'canceled'));
-- A run that waits for its time is queued, and no message tells of it yet.
ALTER TABLE job_runs ALTER COLUMN queued_at DROP NOT NULL;
