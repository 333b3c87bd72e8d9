-- Files of the watched folder, each version once: whoever writes the row makes the job.
CREATE TABLE ingested_files (
    path     text NOT NULL,
    version  text NOT NULL,
    job_id   uuid NOT NULL,
    photo_id uuid,
    reason   text,
    at       timestamptz NOT NULL,
    PRIMARY KEY (path, version)
);
