-- Coordination of jobs: express, order, uniqueness, children, queues that are named while it runs.

ALTER TABLE jobs ADD COLUMN express INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN parent TEXT REFERENCES jobs (id) ON DELETE SET NULL;
ALTER TABLE jobs ADD COLUMN ordering_key TEXT;
ALTER TABLE jobs ADD COLUMN ordering_seq INTEGER CHECK ((ordering_key IS NULL) = (ordering_seq IS NULL));
ALTER TABLE jobs ADD COLUMN unique_key TEXT;

CREATE INDEX jobs_pending_express ON jobs (run_at) WHERE state = 'pending' AND (express OR woken);
CREATE INDEX jobs_of_parent ON jobs (parent) WHERE parent IS NOT NULL;
-- How many of one customer's jobs are with the broker, and how many are unfinished.
CREATE INDEX jobs_queued_of_owner ON jobs (owner, queue, express) WHERE state = 'queued' AND owner IS NOT NULL;
CREATE INDEX jobs_unfinished_of_owner ON jobs (owner)
    WHERE state IN ('pending', 'queued', 'running', 'waiting') AND owner IS NOT NULL;
-- Whose turn it is, and never two at a time.
CREATE INDEX jobs_in_order ON jobs (ordering_key, ordering_seq)
    WHERE state IN ('pending', 'queued', 'running', 'waiting') AND ordering_key IS NOT NULL;
CREATE UNIQUE INDEX jobs_one_of_ordering_key ON jobs (ordering_key)
    WHERE state IN ('queued', 'running', 'waiting') AND ordering_key IS NOT NULL;
CREATE UNIQUE INDEX jobs_unique ON jobs (unique_key)
    WHERE state IN ('pending', 'queued', 'running', 'waiting') AND unique_key IS NOT NULL;

-- The last place taken in each line.
CREATE TABLE ordering_keys (
    key      TEXT PRIMARY KEY,
    last_seq INTEGER NOT NULL
) STRICT;

-- Queues that exist. The programs add those that they were built with, and whoever names a new one adds that.
CREATE TABLE queues (
    name TEXT PRIMARY KEY
) STRICT;
