DROP INDEX jobs_of_owner;
DROP INDEX jobs_held_in_order;
DROP INDEX orders_unfinished;
DROP INDEX photos_unready;

-- The jobs that photos and orders refer to come back, empty.
INSERT INTO jobs (id, kind, queue, args, state, max_attempts, run_at, errors, owner, created_at, updated_at)
    SELECT job_id, 'make_thumbnails', 'images', jsonb('{}'), 'succeeded', 20, created_at, jsonb('[]'), customer_id, created_at, created_at
    FROM photos WHERE job_id NOT IN (SELECT id FROM jobs);
INSERT INTO jobs (id, kind, queue, args, state, max_attempts, run_at, errors, owner, created_at, updated_at)
    SELECT job_id, 'fulfil_order', 'orders', jsonb('{}'), 'succeeded', 20, created_at, jsonb('[]'), customer_id, created_at, created_at
    FROM orders WHERE job_id NOT IN (SELECT id FROM jobs);

-- A column that is added can't be both a reference and NOT NULL.
ALTER TABLE orders ADD COLUMN id_of_job TEXT REFERENCES jobs (id);
UPDATE orders SET id_of_job = job_id;
ALTER TABLE orders DROP COLUMN job_id;
ALTER TABLE orders RENAME COLUMN id_of_job TO job_id;

ALTER TABLE photos ADD COLUMN id_of_job TEXT REFERENCES jobs (id);
UPDATE photos SET id_of_job = job_id;
ALTER TABLE photos DROP COLUMN job_id;
ALTER TABLE photos RENAME COLUMN id_of_job TO job_id;

DROP TABLE expired_jobs;
