-- Instants of a schedule that were not run, as ranges: every instant has an answer.
CREATE TABLE job_gaps (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_key     text        NOT NULL,
    first_at    timestamptz NOT NULL,
    last_at     timestamptz NOT NULL,
    instants    bigint      NOT NULL,
    reason      text        NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT job_gaps_key UNIQUE (job_key, first_at),
    CONSTRAINT job_gaps_order CHECK (first_at <= last_at AND instants >= 1),
    CONSTRAINT job_gaps_reason_known CHECK (reason IN ('missed', 'skipped', 'paused'))
);
