DROP INDEX idempotency_keys_age;
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
ALTER TABLE order_events DROP CONSTRAINT order_events_pkey, ADD PRIMARY KEY (id);
CREATE INDEX order_events_of_order ON order_events (order_id, id);

ALTER TABLE stock_moves
    ADD CONSTRAINT stock_moves_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders (id),
    ADD CONSTRAINT stock_moves_product_id_fkey FOREIGN KEY (product_id) REFERENCES products (id);
ALTER TABLE order_events ADD CONSTRAINT order_events_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders (id);
ALTER TABLE order_lines
    ADD CONSTRAINT order_lines_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders (id),
    ADD CONSTRAINT order_lines_product_id_fkey FOREIGN KEY (product_id) REFERENCES products (id);
ALTER TABLE idempotency_keys
    ADD CONSTRAINT idempotency_keys_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers (id);
ALTER TABLE orders ADD CONSTRAINT orders_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers (id);
UPDATE jobs SET parent = NULL WHERE parent NOT IN (SELECT id FROM jobs);
ALTER TABLE jobs ADD CONSTRAINT jobs_parent_fkey FOREIGN KEY (parent) REFERENCES jobs (id) ON DELETE SET NULL;

ALTER TABLE jobs RESET (fillfactor);
DROP INDEX jobs_due, jobs_due_of_owner, jobs_parked, jobs_waiting, jobs_unique, jobs_in_line, jobs_head_of_line,
    jobs_of_queue_and_kind, jobs_of_trace, jobs_failed, jobs_dead, jobs_held_in_order, jobs_cancelled;
ALTER TABLE jobs DROP CONSTRAINT jobs_check, DROP CONSTRAINT jobs_check1;
UPDATE jobs SET due_at = NULL WHERE state <> 'queued';
-- What was put off because its queue was paused.
UPDATE jobs SET due_at = now() WHERE due_at > now();
-- What was unique until it began has given its key up.
UPDATE jobs SET unique_key = unique_open WHERE state IN ('pending', 'queued', 'running', 'waiting');
ALTER TABLE jobs RENAME COLUMN due_at TO republish_at;
ALTER TABLE jobs
    DROP COLUMN parked, DROP COLUMN waiting_since, DROP COLUMN unique_open, DROP COLUMN ordering_open,
    DROP COLUMN dead_at, DROP COLUMN awaited;

ALTER TABLE jobs
    ADD CONSTRAINT jobs_state_check CHECK
        (state IN ('pending', 'queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled')),
    ADD CONSTRAINT jobs_failure_check CHECK (failure IN ('discarded', 'exhausted', 'crashed')),
    ADD CONSTRAINT jobs_attempt_check CHECK (attempt >= 0),
    ADD CONSTRAINT jobs_check CHECK ((state = 'failed') = (failure IS NOT NULL)),
    ADD CONSTRAINT jobs_check1 CHECK ((ordering_key IS NULL) = (ordering_seq IS NULL));

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
