-- Whoever pauses a schedule says why. Its instants are answered all the same, as gaps.
ALTER TABLE job_schedules
    ADD COLUMN paused_at timestamptz,
    ADD COLUMN paused_by text,
    ADD COLUMN paused_reason text,
    ADD CONSTRAINT job_schedules_pause_is_told
        CHECK ((paused_at IS NULL) = (paused_by IS NULL) AND (paused_at IS NULL) = (paused_reason IS NULL));
