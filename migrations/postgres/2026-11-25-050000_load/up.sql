-- Express orders, and the pace of the queues.

ALTER TABLE orders ADD COLUMN express boolean NOT NULL DEFAULT false;

-- How many jobs ended lately.
CREATE INDEX jobs_finished ON jobs (updated_at) WHERE state IN ('succeeded', 'failed', 'cancelled');
