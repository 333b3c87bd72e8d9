DROP INDEX jobs_due;
DROP INDEX jobs_due_of_owner;
DROP INDEX jobs_parked;
DROP INDEX jobs_waiting;
DROP INDEX jobs_unique;
DROP INDEX jobs_in_line;
DROP INDEX jobs_head_of_line;
DROP INDEX jobs_of_queue_and_kind;
DROP INDEX jobs_of_trace;
DROP INDEX jobs_failed;
DROP INDEX jobs_dead;
DROP INDEX jobs_held_in_order;
DROP INDEX jobs_cancelled;

ALTER TABLE jobs DROP COLUMN parked;
UPDATE jobs SET due_at = NULL WHERE state <> 'queued';
-- What was put off because its queue was paused.
UPDATE jobs SET due_at = unixepoch() * 1000000 WHERE due_at > unixepoch() * 1000000;
-- What was unique until it began has given its key up.
UPDATE jobs SET unique_key = unique_open WHERE state IN ('pending', 'queued', 'running', 'waiting');
ALTER TABLE jobs DROP COLUMN waiting_since;
ALTER TABLE jobs DROP COLUMN unique_open;
ALTER TABLE jobs DROP COLUMN ordering_open;
ALTER TABLE jobs DROP COLUMN dead_at;
ALTER TABLE jobs DROP COLUMN awaited;
ALTER TABLE jobs RENAME COLUMN due_at TO republish_at;

CREATE INDEX jobs_pending ON jobs (run_at) WHERE state = 'pending';
CREATE INDEX jobs_queued ON jobs (republish_at) WHERE state = 'queued';
CREATE INDEX jobs_running ON jobs (worker) WHERE state = 'running';
CREATE INDEX jobs_pending_express ON jobs (run_at) WHERE state = 'pending' AND (express OR woken);
CREATE INDEX jobs_queued_of_owner ON jobs (owner, queue, express) WHERE state = 'queued' AND owner IS NOT NULL;
CREATE INDEX jobs_unfinished_of_owner ON jobs (owner)
    WHERE state IN ('pending', 'queued', 'running', 'waiting') AND owner IS NOT NULL;
CREATE INDEX jobs_in_order ON jobs (ordering_key, ordering_seq)
    WHERE state IN ('pending', 'queued', 'running', 'waiting') AND ordering_key IS NOT NULL;
CREATE UNIQUE INDEX jobs_one_of_ordering_key ON jobs (ordering_key)
    WHERE state IN ('queued', 'running', 'waiting') AND ordering_key IS NOT NULL;
CREATE UNIQUE INDEX jobs_unique ON jobs (unique_key)
    WHERE state IN ('pending', 'queued', 'running', 'waiting') AND unique_key IS NOT NULL;
CREATE INDEX jobs_finished ON jobs (updated_at) WHERE state IN ('succeeded', 'failed', 'cancelled');
CREATE INDEX jobs_held_in_order ON jobs (ordering_key)
    WHERE failure IN ('exhausted', 'crashed') AND ordering_key IS NOT NULL;
CREATE INDEX jobs_failed ON jobs (failure, id) WHERE state = 'failed';
CREATE INDEX jobs_dead ON jobs (kind, failure, dead_reason, id) WHERE failure IN ('exhausted', 'crashed');
CREATE INDEX jobs_pending_of_queue ON jobs (queue, run_at) WHERE state = 'pending';
CREATE INDEX jobs_waiting ON jobs (id) WHERE state = 'waiting';
CREATE INDEX jobs_over_by_state ON jobs (state, id) WHERE state IN ('succeeded', 'failed', 'cancelled');
CREATE INDEX jobs_over_by_kind ON jobs (kind, id) WHERE state IN ('succeeded', 'failed', 'cancelled');
CREATE INDEX jobs_over_by_queue ON jobs (queue, id) WHERE state IN ('succeeded', 'failed', 'cancelled');
CREATE INDEX jobs_over_by_trace ON jobs (substr(traceparent, 4, 32), id)
    WHERE state IN ('succeeded', 'failed', 'cancelled') AND traceparent IS NOT NULL;
CREATE INDEX jobs_unfinished ON jobs (queue, state, run_at)
    WHERE state IN ('pending', 'queued', 'running', 'waiting');
