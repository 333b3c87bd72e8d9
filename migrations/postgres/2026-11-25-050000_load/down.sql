DROP INDEX jobs_finished;
ALTER TABLE orders DROP COLUMN express;
