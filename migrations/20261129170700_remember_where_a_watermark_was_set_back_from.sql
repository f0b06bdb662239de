-- A clock that was ahead has had instants answered before they came. Where the watermark is set back from there, they come
-- again: runs that were made stand, gaps make room.
ALTER TABLE job_schedules ADD COLUMN set_back_from timestamptz;
GRANT DELETE ON job_gaps TO warren_scheduler;
