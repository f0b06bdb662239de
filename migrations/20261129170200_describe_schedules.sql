-- What people call a schedule, who made it, and which build declared it: one of an older build must not take back what a newer
-- one has declared while both run (`generation`, as long as `declared_until` lies ahead).
ALTER TABLE job_schedules
    ADD COLUMN verbose_name text NOT NULL DEFAULT '',
    ADD COLUMN creator text,
    ADD COLUMN origin text NOT NULL DEFAULT 'registry',
    ADD COLUMN generation bigint NOT NULL DEFAULT 0,
    ADD COLUMN declared_until timestamptz,
    ADD CONSTRAINT job_schedules_origin_known CHECK (origin IN ('registry', 'enqueued'));
