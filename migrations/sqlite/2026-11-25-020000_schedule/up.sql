-- What happens at set times: when it will next, and when it did last.
CREATE TABLE schedules (
    name     TEXT PRIMARY KEY,
    cron     TEXT NOT NULL,
    next_at  INTEGER NOT NULL,
    last_at  INTEGER,
    last_job TEXT,
    missed   INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Which products were ordered together, and how often.
CREATE TABLE also_bought (
    product_id TEXT NOT NULL REFERENCES products (id),
    other_id   TEXT NOT NULL REFERENCES products (id),
    orders     INTEGER NOT NULL CHECK (orders > 0),
    PRIMARY KEY (product_id, other_id)
) STRICT;
