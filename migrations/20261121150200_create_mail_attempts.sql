-- What became of each attempt to send a mail. A row is written before the server is spoken to: one that stays at
-- 'begun' means that its worker died, and the mail may have left. So a run with more than one row of 'begun',
-- 'unconfirmed' and 'delivered' may have sent its mail more than once.
CREATE TABLE mail_attempts (
    run_id     uuid        NOT NULL,
    attempt    integer     NOT NULL,
    user_id    bigint      NOT NULL,
    purpose    text        NOT NULL,
    outcome    text        NOT NULL DEFAULT 'begun',
    reply      text,
    begun_at   timestamptz NOT NULL,
    ended_at   timestamptz,
    CONSTRAINT mail_attempts_pkey PRIMARY KEY (run_id, attempt),
    CONSTRAINT mail_attempts_outcome_known CHECK (outcome IN ('begun', 'delivered', 'refused', 'failed', 'unconfirmed')),
    CONSTRAINT mail_attempts_ended_has_end CHECK ((outcome = 'begun') = (ended_at IS NULL))
);

CREATE INDEX mail_attempts_begun_at ON mail_attempts (begun_at);

COMMENT ON COLUMN mail_attempts.outcome IS
    'delivered: the server took it; refused: it will never take it; failed: it did not take it this time; unconfirmed: '
    'it got the whole mail and did not answer';
COMMENT ON COLUMN mail_attempts.reply IS 'what the server said, or what went wrong; never a line of the mail';

GRANT SELECT ON mail_attempts TO warren_operator;
