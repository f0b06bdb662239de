-- Schedulers ask each second whether any is there, however many runs wait and however many schedules there are.
CREATE INDEX job_runs_not_told ON job_runs (run_after) WHERE state = 'queued' AND queued_at IS NULL;
CREATE INDEX job_schedules_ahead ON job_schedules (schedule_key) WHERE watermark_ahead_since IS NOT NULL;
