-- When each job is due. `watermark` is the last instant that has been answered (run or recorded as a gap):
-- whoever locks the row first writes what lies between it and now, so no leader is needed.
CREATE TABLE job_schedules (
    job_key      text        PRIMARY KEY,
    cron         text        NOT NULL,
    queue        text        NOT NULL DEFAULT 'default',
    args         jsonb       NOT NULL DEFAULT '{}',
    catch_up_max integer     NOT NULL,
    catch_up_window_seconds integer NOT NULL,
    timeout_seconds integer  NOT NULL,
    attempts_max integer     NOT NULL,
    watermark    timestamptz NOT NULL,
    next_due_at  timestamptz,
    -- Since when the watermark lies ahead of the database's clock, which was set back.
    watermark_ahead_since timestamptz,
    retired_at   timestamptz,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    CONSTRAINT job_schedules_catch_up_max_range CHECK (catch_up_max BETWEEN 0 AND 100),
    CONSTRAINT job_schedules_catch_up_window_positive CHECK (catch_up_window_seconds > 0),
    CONSTRAINT job_schedules_timeout_positive CHECK (timeout_seconds > 0),
    CONSTRAINT job_schedules_attempts_positive CHECK (attempts_max > 0)
);

CREATE INDEX job_schedules_due ON job_schedules (next_due_at) WHERE retired_at IS NULL;
