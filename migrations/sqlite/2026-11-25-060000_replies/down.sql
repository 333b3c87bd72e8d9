DROP TABLE job_replies;
