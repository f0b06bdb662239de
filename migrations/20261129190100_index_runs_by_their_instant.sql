-- The newest runs, page by page, whatever is asked of them: read in their order, not sorted.
CREATE INDEX job_runs_by_instant ON job_runs (scheduled_at DESC, id DESC);
