-- An operator may have a schedule due at other times. What the registry says is kept beside it: it changes with the build, and
-- is in force again once the operator takes the word back.
ALTER TABLE job_schedules
    ADD COLUMN registry_timetable text,
    ADD COLUMN registry_time_zone text,
    ADD CONSTRAINT job_schedules_override_is_whole CHECK ((registry_timetable IS NULL) = (registry_time_zone IS NULL));
