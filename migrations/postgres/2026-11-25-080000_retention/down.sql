DROP INDEX jobs_of_owner;
DROP INDEX jobs_held_in_order;
DROP INDEX orders_unfinished;
DROP INDEX photos_unready;

-- The jobs that photos and orders refer to come back, empty.
INSERT INTO jobs (id, kind, queue, args, state, max_attempts, run_at, errors, owner, created_at, updated_at)
    SELECT job_id, 'make_thumbnails', 'images', '{}', 'succeeded', 20, created_at, '[]', customer_id, created_at, created_at
    FROM photos WHERE job_id NOT IN (SELECT id FROM jobs);
INSERT INTO jobs (id, kind, queue, args, state, max_attempts, run_at, errors, owner, created_at, updated_at)
    SELECT job_id, 'fulfil_order', 'orders', '{}', 'succeeded', 20, created_at, '[]', customer_id, created_at, created_at
    FROM orders WHERE job_id NOT IN (SELECT id FROM jobs);

ALTER TABLE orders ADD CONSTRAINT orders_job_id_fkey FOREIGN KEY (job_id) REFERENCES jobs (id);
ALTER TABLE photos ADD CONSTRAINT photos_job_id_fkey FOREIGN KEY (job_id) REFERENCES jobs (id);
DROP TABLE expired_jobs;
