-- What ended long ago is deleted each day: by these indexes, and not by a look at every row.
CREATE INDEX job_runs_finished ON job_runs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX job_gaps_last ON job_gaps (last_at);
