-- No index names `state`: each that does makes every change of state an entry in all indexes of the row. An index
-- names a column that is null for every job that it doesn't concern. A job's life then costs the indexes of what it
-- uses, and most of its updates stay in their page (HOT).
--
-- Stop all programs of the release before: they don't know these columns.

-- Two conditions are left, on what must never be forgotten. Each costs as much as a column of an index, at every
-- update; the names of the states are held by their type.
ALTER TABLE jobs DROP CONSTRAINT jobs_state_check, DROP CONSTRAINT jobs_failure_check, DROP CONSTRAINT jobs_attempt_check,
    DROP CONSTRAINT jobs_check, DROP CONSTRAINT jobs_check1;

-- Pending: when it may go to the broker. Queued, running: when somebody looks at it again. Null: it waits, is over, is
-- parked, or stands in a line behind another.
ALTER TABLE jobs RENAME COLUMN republish_at TO due_at;
ALTER TABLE jobs
    -- The lane that it would go by, if its owner had not so many in it already.
    ADD COLUMN parked        text,
    ADD COLUMN waiting_since timestamptz,
    -- Its keys, as long as it holds them.
    ADD COLUMN unique_open   text,
    ADD COLUMN ordering_open text,
    ADD COLUMN dead_at       timestamptz,
    -- Somebody waits for it, or did. Never taken back.
    ADD COLUMN awaited       boolean NOT NULL DEFAULT false;

UPDATE jobs SET
    due_at = CASE
        WHEN state = 'pending' AND (ordering_key IS NULL OR NOT EXISTS (
            SELECT 1 FROM jobs AS earlier WHERE earlier.ordering_key = jobs.ordering_key
            AND earlier.ordering_seq < jobs.ordering_seq AND earlier.state IN ('pending', 'queued', 'running', 'waiting')
        )) THEN run_at
        WHEN state IN ('queued', 'running') THEN COALESCE(due_at, now())
    END,
    waiting_since = CASE state WHEN 'waiting' THEN updated_at END,
    unique_open = CASE WHEN state IN ('pending', 'queued', 'running', 'waiting') THEN unique_key END,
    ordering_open = CASE WHEN state IN ('pending', 'queued', 'running', 'waiting') THEN ordering_key END,
    dead_at = CASE WHEN failure IN ('exhausted', 'crashed') THEN updated_at END,
    awaited = EXISTS (SELECT 1 FROM job_waits WHERE on_job = jobs.id)
WHERE state IN ('pending', 'queued', 'running', 'waiting') OR failure IN ('exhausted', 'crashed');

-- After the rows were written: the former indexes found who stands before whom.
DROP INDEX jobs_pending, jobs_queued, jobs_running, jobs_pending_express, jobs_queued_of_owner, jobs_unfinished_of_owner,
    jobs_in_order, jobs_one_of_ordering_key, jobs_unique, jobs_finished, jobs_held_in_order, jobs_failed, jobs_dead,
    jobs_pending_of_queue, jobs_waiting, jobs_over_by_state, jobs_over_by_kind, jobs_over_by_queue, jobs_over_by_trace,
    jobs_unfinished;

ALTER TABLE jobs
    ADD CHECK (num_nonnulls(due_at, parked) <= CAST(state IN ('pending', 'queued', 'running') AS integer)),
    ADD CHECK (state NOT IN ('queued', 'running') OR due_at IS NOT NULL);

-- Lists, the newest first, and what operators look for.
-- Of both in one, and only for who says so, for the same reason as below.
CREATE INDEX jobs_of_queue_and_kind ON jobs ((queue || '/' || kind), id) WHERE (queue || '/' || kind) IS NOT NULL;
CREATE INDEX jobs_of_trace ON jobs (substr(traceparent, 4, 32), id) WHERE traceparent IS NOT NULL;
CREATE INDEX jobs_failed ON jobs (failure, id) WHERE failure IS NOT NULL;
CREATE INDEX jobs_dead ON jobs (kind, failure, dead_reason, id) WHERE dead_at IS NOT NULL;
CREATE INDEX jobs_held_in_order ON jobs (ordering_key) WHERE dead_at IS NOT NULL AND ordering_key IS NOT NULL;
CREATE INDEX jobs_cancelled ON jobs (id) WHERE cancel_requested_at IS NOT NULL;

-- What is due, what goes by the lane that is served first before all else.
CREATE INDEX jobs_due ON jobs ((CASE WHEN express OR woken THEN 0 ELSE 1 END), due_at) WHERE due_at IS NOT NULL;
-- How many an owner has with the broker and at workers, parked, waiting. Owner and time stand in words that
-- only the statement has which means this index: while the table is empty any other of owners or of times would do as
-- well, and PostgreSQL would keep to it.
CREATE INDEX jobs_due_of_owner ON jobs (
    (CASE WHEN due_at IS NOT NULL THEN owner END), queue, (CASE WHEN owner IS NOT NULL THEN due_at END)
) WHERE (CASE WHEN due_at IS NOT NULL THEN owner END) IS NOT NULL;
CREATE INDEX jobs_parked ON jobs ((CASE WHEN parked IS NOT NULL THEN owner END), parked, woken DESC, id)
    WHERE parked IS NOT NULL;
CREATE INDEX jobs_waiting ON jobs ((CASE WHEN waiting_since IS NOT NULL THEN owner END)) WHERE waiting_since IS NOT NULL;
CREATE UNIQUE INDEX jobs_unique ON jobs (unique_open) WHERE unique_open IS NOT NULL;
CREATE INDEX jobs_in_line ON jobs (ordering_open, ordering_seq) WHERE ordering_open IS NOT NULL;
CREATE UNIQUE INDEX jobs_head_of_line ON jobs (ordering_open) WHERE ordering_open IS NOT NULL AND due_at IS NOT NULL;

-- Room in each page for the next states of its rows.
ALTER TABLE jobs SET (fillfactor = 50);

-- Each foreign key is a look and a lock at every insert. Those that go are between rows that one transaction writes or
-- has just read; products are hot, and everybody's share lock on them holds up whoever takes from the stock.
ALTER TABLE jobs DROP CONSTRAINT jobs_parent_fkey;
ALTER TABLE orders DROP CONSTRAINT orders_customer_id_fkey;
ALTER TABLE idempotency_keys DROP CONSTRAINT idempotency_keys_customer_id_fkey;
ALTER TABLE order_lines DROP CONSTRAINT order_lines_order_id_fkey, DROP CONSTRAINT order_lines_product_id_fkey;
ALTER TABLE order_events DROP CONSTRAINT order_events_order_id_fkey;
ALTER TABLE stock_moves DROP CONSTRAINT stock_moves_order_id_fkey, DROP CONSTRAINT stock_moves_product_id_fkey;

-- An event is found by its order.
DROP INDEX order_events_of_order;
ALTER TABLE order_events DROP CONSTRAINT order_events_pkey, ADD PRIMARY KEY (order_id, id);
-- Keys are written in the order of their time: one entry for many of them.
DROP INDEX idempotency_keys_age;
CREATE INDEX idempotency_keys_age ON idempotency_keys USING brin (created_at) WITH (pages_per_range = 16);
