-- Jobs that programs elsewhere started: by which machine token, and under which key of theirs. The row comes before
-- its job, because it decides whether there is to be one.
CREATE TABLE triggered_jobs (
    job_id       TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    source       TEXT NOT NULL,
    key          TEXT,
    request_hash TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    UNIQUE (source, key)
) STRICT;
