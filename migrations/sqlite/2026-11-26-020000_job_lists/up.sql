-- Lists of jobs, the newest first, by any of their filters. A job is written into these once, when it is over
-- (into the first, when it begins to wait): what is under way is found by the indexes that its life needs anyway.
CREATE INDEX jobs_waiting ON jobs (id) WHERE state = 'waiting';
CREATE INDEX jobs_over_by_state ON jobs (state, id) WHERE state IN ('succeeded', 'failed', 'cancelled');
CREATE INDEX jobs_over_by_kind ON jobs (kind, id) WHERE state IN ('succeeded', 'failed', 'cancelled');
CREATE INDEX jobs_over_by_queue ON jobs (queue, id) WHERE state IN ('succeeded', 'failed', 'cancelled');
CREATE INDEX jobs_over_by_trace ON jobs (substr(traceparent, 4, 32), id)
    WHERE state IN ('succeeded', 'failed', 'cancelled') AND traceparent IS NOT NULL;

-- As they were, but in the order of a list.
DROP INDEX jobs_of_owner;
CREATE INDEX jobs_of_owner ON jobs (owner, id) WHERE owner IS NOT NULL;
DROP INDEX jobs_of_parent;
CREATE INDEX jobs_of_parent ON jobs (parent, id) WHERE parent IS NOT NULL;
