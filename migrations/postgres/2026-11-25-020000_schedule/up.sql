-- What happens at set times: when it will next, and when it did last.
CREATE TABLE schedules (
    name     text PRIMARY KEY,
    cron     text NOT NULL,
    next_at  timestamptz NOT NULL,
    last_at  timestamptz,
    last_job uuid,
    missed   integer NOT NULL DEFAULT 0
);

-- Which products were ordered together, and how often.
CREATE TABLE also_bought (
    product_id text NOT NULL REFERENCES products (id),
    other_id   text NOT NULL REFERENCES products (id),
    orders     bigint NOT NULL CHECK (orders > 0),
    PRIMARY KEY (product_id, other_id)
);
