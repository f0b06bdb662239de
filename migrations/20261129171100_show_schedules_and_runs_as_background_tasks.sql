-- Schedules and runs as Django's background tasks have them: what is to come, and what has become of it. Ids are ours;
-- `task_params` is JSON of positional and named arguments, as there.
CREATE VIEW background_task AS
SELECT
    id::text AS id,
    job_key AS task_name,
    jsonb_build_array('[]'::jsonb, args)::text AS task_params,
    task_hash,
    verbose_name,
    priority,
    run_after AS run_at,
    NULL::bigint AS repeat,
    NULL::timestamptz AS repeat_until,
    queue,
    attempt AS attempts,
    NULL::timestamptz AS failed_at,
    COALESCE(error, '') AS last_error,
    CASE WHEN state = 'running' THEN worker END AS locked_by,
    CASE WHEN state = 'running' THEN started_at END AS locked_at,
    creator,
    state
FROM job_runs
WHERE state IN ('queued', 'running', 'retrying')
UNION ALL
SELECT
    schedule_key,
    job_key,
    jsonb_build_array('[]'::jsonb, args)::text,
    task_hash,
    verbose_name,
    priority,
    next_due_at,
    substring(timetable FROM '^every (\d+)s$')::bigint,
    ends_at,
    queue,
    0,
    NULL,
    '',
    NULL,
    NULL,
    creator,
    CASE WHEN paused_at IS NULL THEN 'scheduled' ELSE 'paused' END
FROM job_schedules
WHERE retired_at IS NULL AND next_due_at IS NOT NULL;

CREATE VIEW background_task_completedtask AS
SELECT
    id::text AS id,
    job_key AS task_name,
    jsonb_build_array('[]'::jsonb, args)::text AS task_params,
    task_hash,
    verbose_name,
    priority,
    finished_at AS run_at,
    NULL::bigint AS repeat,
    NULL::timestamptz AS repeat_until,
    queue,
    attempt AS attempts,
    CASE WHEN state = 'failed' THEN finished_at END AS failed_at,
    COALESCE(error, '') AS last_error,
    worker AS locked_by,
    started_at AS locked_at,
    creator,
    state
FROM job_runs
WHERE state IN ('succeeded', 'failed');

COMMENT ON VIEW background_task IS 'What is to run: runs that are not over, and each schedule with its next instant';
COMMENT ON VIEW background_task_completedtask IS 'What has run: well, or failed for good (failed_at)';
GRANT SELECT ON background_task, background_task_completedtask TO warren_operator;
