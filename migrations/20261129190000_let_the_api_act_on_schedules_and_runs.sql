-- `/api/jobs/…` shows staff schedules and runs, and acts on them as the scheduler's commands do: what these change, and no more.
GRANT SELECT ON job_schedules, job_runs TO warren_producer_api;
GRANT SELECT, INSERT, UPDATE ON job_gaps TO warren_producer_api;
GRANT UPDATE (
    timetable, time_zone, registry_timetable, registry_time_zone, watermark, next_due_at, paused_at, paused_by, paused_reason,
    updated_at
) ON job_schedules TO warren_producer_api;
GRANT UPDATE (
    state, queued_at, run_after, due_at, replayed_at, finished_at, cancel_reason, attempts_max, attempts_before, attempts_uncounted,
    error, error_kind
) ON job_runs TO warren_producer_api;
