-- Every second somebody looks whether a watermark is ahead of the clock.
CREATE INDEX job_schedules_watermark ON job_schedules (watermark) WHERE retired_at IS NULL;
