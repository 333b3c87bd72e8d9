-- Files of the watched folder, each version once: whoever writes the row makes the job.
CREATE TABLE ingested_files (
    path     TEXT NOT NULL,
    version  TEXT NOT NULL,
    job_id   TEXT NOT NULL,
    photo_id TEXT,
    reason   TEXT,
    at       INTEGER NOT NULL,
    PRIMARY KEY (path, version)
) STRICT;
