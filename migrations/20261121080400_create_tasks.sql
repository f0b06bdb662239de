-- What users plan. `version` counts the changes of a task, so that a reader of its events can tell an
-- older state from a newer one.
CREATE TABLE tasks (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id    bigint      NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    title      text        NOT NULL,
    duration   interval    NOT NULL,
    version    bigint      NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT tasks_title_length CHECK (char_length(title) BETWEEN 1 AND 200),
    CONSTRAINT tasks_duration_positive CHECK (duration > interval '0')
);

-- "The caller's last four, newest first": the id breaks ties of created_at.
CREATE INDEX tasks_newest ON tasks (user_id, created_at DESC, id DESC);
