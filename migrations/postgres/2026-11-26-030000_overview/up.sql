-- What an operator's overview counts every few seconds, however many jobs are over.

CREATE INDEX jobs_unfinished ON jobs (queue, state, run_at)
    WHERE state IN ('pending', 'queued', 'running', 'waiting');
