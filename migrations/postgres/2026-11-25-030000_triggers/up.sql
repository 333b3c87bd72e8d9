-- Jobs that programs elsewhere started: by which machine token, and under which key of theirs. The row comes before
-- its job, because it decides whether there is to be one.
CREATE TABLE triggered_jobs (
    job_id       uuid PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    source       text NOT NULL,
    key          text,
    request_hash text NOT NULL,
    created_at   timestamptz NOT NULL,
    UNIQUE (source, key)
);
