ALTER TABLE queue_samples DROP COLUMN runs;
DROP INDEX jobs_unfinished;
