-- A worker of another program asks for a run by a message, and may miss the answer. So it is kept by which run's message it
-- asked: it is told the same again. A message is a turn, and the run that was claimed in it may be another one.
ALTER TABLE job_runs ADD COLUMN turn uuid;
CREATE INDEX job_runs_turn ON job_runs (turn) WHERE turn IS NOT NULL;
