-- What an operator's overview counts every few seconds, however many jobs are over.

CREATE INDEX jobs_unfinished ON jobs (queue, state, run_at)
    WHERE state IN ('pending', 'queued', 'running', 'waiting');

-- Runs that ended, in whatever way: those whose time is added up. One that ends with a snooze, or sleeps until
-- other jobs are over, is neither a success nor a failure, and may have been the long part of its job.
ALTER TABLE queue_samples ADD COLUMN runs bigint NOT NULL DEFAULT 0;
