-- The runs of mails that ended long ago are deleted each hour: by this index, and not by a look at every run of any job.
CREATE INDEX job_runs_finished_mails ON job_runs (finished_at) WHERE job_key = 'send-mail' AND finished_at IS NOT NULL;
