DROP INDEX jobs_failed;
DROP TABLE queue_samples;
DROP TABLE processes;
DROP TABLE audit;
DROP TABLE operator_tokens;
DROP TABLE operator_sessions;
DROP TABLE operators;
ALTER TABLE queues DROP COLUMN paused_at;
