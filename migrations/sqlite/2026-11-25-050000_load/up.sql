-- Express orders, and the pace of the queues.

ALTER TABLE orders ADD COLUMN express INTEGER NOT NULL DEFAULT 0;

-- How many jobs ended lately.
CREATE INDEX jobs_finished ON jobs (updated_at) WHERE state IN ('succeeded', 'failed', 'cancelled');
