-- Who is told when a job is over: reply queues of programs that submitted it by AMQP. `jobs.has_callback` says
-- that there may be a row, so that the others cost nothing.
CREATE TABLE job_replies (
    job_id         uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    reply_to       text NOT NULL,
    correlation_id text NOT NULL,
    PRIMARY KEY (job_id, reply_to, correlation_id)
);
