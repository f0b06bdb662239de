-- One job for one tick. The unique key is what makes a tick correct: however many schedulers write it, one
-- row stands. `attempt` is the fencing number: a worker may write only under the attempt it claimed.
CREATE TABLE job_runs (
    id           uuid        PRIMARY KEY,
    job_key      text        NOT NULL,
    scheduled_at timestamptz NOT NULL,
    queue        text        NOT NULL,
    args         jsonb       NOT NULL DEFAULT '{}',
    state        text        NOT NULL DEFAULT 'queued',
    attempt      integer     NOT NULL DEFAULT 0,
    attempts_max integer     NOT NULL,
    timeout_seconds integer  NOT NULL,
    run_after    timestamptz NOT NULL,
    queued_at    timestamptz NOT NULL,
    lease_until  timestamptz,
    worker       text,
    started_at   timestamptz,
    finished_at  timestamptz,
    error        text,
    output       text,
    CONSTRAINT job_runs_tick_key UNIQUE (job_key, scheduled_at),
    CONSTRAINT job_runs_state_known CHECK (state IN ('queued', 'running', 'retrying', 'succeeded', 'failed')),
    CONSTRAINT job_runs_running_has_lease CHECK ((state = 'running') = (lease_until IS NOT NULL)),
    CONSTRAINT job_runs_ended_has_end CHECK ((state IN ('succeeded', 'failed')) = (finished_at IS NOT NULL))
);

-- What the ticker looks for: retries that are due, leases that ran out, queued runs whose message was lost.
CREATE INDEX job_runs_unfinished ON job_runs (state, run_after) WHERE state IN ('queued', 'running', 'retrying');
