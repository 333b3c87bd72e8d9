DROP TABLE webhook_deliveries;
DROP TABLE job_callbacks;
ALTER TABLE jobs DROP COLUMN has_callback;
