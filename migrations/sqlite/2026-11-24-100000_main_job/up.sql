-- The print shop's main job: photos, orders, and the jobs that work on them.
-- Ids are UUIDs as text; times are microseconds since 1970 (UTC); JSON is SQLite's binary form.

CREATE TABLE customers (
    id         TEXT PRIMARY KEY,
    token_hash TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

-- Job store, outbox and status resource in one row.
CREATE TABLE jobs (
    id                  TEXT PRIMARY KEY,
    kind                TEXT NOT NULL,
    queue               TEXT NOT NULL,
    args                BLOB NOT NULL,
    state               TEXT NOT NULL CHECK (state IN ('pending', 'queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled')),
    failure             TEXT CHECK (failure IN ('discarded', 'exhausted', 'crashed')),
    fence               INTEGER NOT NULL DEFAULT 0,
    attempt             INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    max_attempts        INTEGER NOT NULL,
    lapses              INTEGER NOT NULL DEFAULT 0,
    woken               INTEGER NOT NULL DEFAULT 0,
    published           INTEGER NOT NULL DEFAULT 0,
    run_at              INTEGER NOT NULL,
    republish_at        INTEGER,
    unavailable_since   INTEGER,
    started_at          INTEGER,
    worker              TEXT,
    undoing             INTEGER NOT NULL DEFAULT 0,
    checkpoint          BLOB,
    progress            BLOB,
    result              BLOB,
    errors              BLOB NOT NULL,
    cancel_requested_at INTEGER,
    owner               TEXT,
    traceparent         TEXT,
    version             INTEGER NOT NULL DEFAULT 1,
    created_at          INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL,
    CHECK ((state = 'failed') = (failure IS NOT NULL))
) STRICT;
-- One index a question: what is due, what must be published again, what runs in which process.
CREATE INDEX jobs_pending ON jobs (run_at) WHERE state = 'pending';
CREATE INDEX jobs_queued ON jobs (republish_at) WHERE state = 'queued';
CREATE INDEX jobs_running ON jobs (worker) WHERE state = 'running';

-- Who waits for whom: fan-in and "photos ready" alike.
CREATE TABLE job_waits (
    waiter TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    on_job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    PRIMARY KEY (waiter, on_job)
) STRICT;
CREATE INDEX job_waits_on_job ON job_waits (on_job);

CREATE TABLE photos (
    id           TEXT PRIMARY KEY,
    customer_id  TEXT NOT NULL REFERENCES customers (id),
    job_id       TEXT NOT NULL REFERENCES jobs (id),
    status       TEXT NOT NULL CHECK (status IN ('processing', 'ready', 'rejected')),
    reason       TEXT,
    file_name    TEXT,
    content_type TEXT NOT NULL,
    bytes        INTEGER NOT NULL,
    width        INTEGER,
    height       INTEGER,
    created_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX photos_of_customer ON photos (customer_id, id);

CREATE TABLE photo_variants (
    photo_id     TEXT NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    width        INTEGER NOT NULL,
    height       INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    bytes        INTEGER NOT NULL,
    PRIMARY KEY (photo_id, name)
) STRICT;

CREATE TABLE products (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    price_cents INTEGER NOT NULL CHECK (price_cents > 0),
    stock       INTEGER NOT NULL CHECK (stock >= 0)
) STRICT;
INSERT INTO products (id, name, price_cents, stock) VALUES
    ('print-10x15', 'Print 10 × 15 cm', 29, 100000),
    ('print-13x18', 'Print 13 × 18 cm', 49, 100000),
    ('print-20x30', 'Print 20 × 30 cm', 390, 10000),
    ('poster-50x70', 'Poster 50 × 70 cm', 1990, 1000),
    ('canvas-60x80', 'Canvas 60 × 80 cm (limited)', 5990, 3);

CREATE TABLE orders (
    id            TEXT PRIMARY KEY,
    customer_id   TEXT NOT NULL REFERENCES customers (id),
    job_id        TEXT NOT NULL REFERENCES jobs (id),
    email         TEXT NOT NULL,
    status        TEXT NOT NULL CHECK (status IN ('received', 'awaiting_photos', 'reserved', 'paid', 'rendering', 'confirmed', 'rejected', 'cancelled')),
    reason        TEXT CHECK (reason IN ('photo_rejected', 'out_of_stock', 'declined')),
    total_cents   INTEGER NOT NULL,
    payment_token TEXT NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX orders_of_customer ON orders (customer_id, id);

-- photo_id is no foreign key: a photo may be deleted once the order is over.
CREATE TABLE order_lines (
    order_id    TEXT NOT NULL REFERENCES orders (id),
    position    INTEGER NOT NULL,
    photo_id    TEXT NOT NULL,
    product_id  TEXT NOT NULL REFERENCES products (id),
    quantity    INTEGER NOT NULL CHECK (quantity BETWEEN 1 AND 100),
    price_cents INTEGER NOT NULL,
    PRIMARY KEY (order_id, position)
) STRICT;
CREATE INDEX order_lines_of_photo ON order_lines (photo_id);

CREATE TABLE order_events (
    id       TEXT PRIMARY KEY,
    order_id TEXT NOT NULL REFERENCES orders (id),
    at       INTEGER NOT NULL,
    event    TEXT NOT NULL,
    detail   TEXT
) STRICT;
CREATE INDEX order_events_of_order ON order_events (order_id, id);

-- The key makes taking and giving back idempotent: once an order, product and kind.
CREATE TABLE stock_moves (
    order_id   TEXT NOT NULL REFERENCES orders (id),
    product_id TEXT NOT NULL REFERENCES products (id),
    kind       TEXT NOT NULL CHECK (kind IN ('reserve', 'release')),
    quantity   INTEGER NOT NULL CHECK (quantity > 0),
    at         INTEGER NOT NULL,
    PRIMARY KEY (order_id, product_id, kind)
) STRICT;

-- The sandbox gateway's ledger: one charge an order.
CREATE TABLE payments (
    order_id     TEXT PRIMARY KEY,
    state        TEXT NOT NULL CHECK (state IN ('asked', 'charged', 'declined', 'refunded', 'voided')),
    amount_cents INTEGER NOT NULL,
    asked        INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL
) STRICT;

CREATE TABLE idempotency_keys (
    customer_id  TEXT NOT NULL REFERENCES customers (id),
    key          TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    location     TEXT NOT NULL,
    body         TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (customer_id, key)
) STRICT;
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- Locked while a mail's place within the limit per recipient is taken.
CREATE TABLE mail_recipients (
    recipient TEXT PRIMARY KEY
) STRICT;

-- One row a mail: its place within the limit, and whether it was handed over.
CREATE TABLE mails (
    job_id    TEXT PRIMARY KEY,
    recipient TEXT NOT NULL REFERENCES mail_recipients (recipient),
    at        INTEGER NOT NULL,
    sent      INTEGER NOT NULL
) STRICT;
CREATE INDEX mails_to ON mails (recipient, at);

-- Messages that are no envelope of ours, kept for a person to look at.
CREATE TABLE dead_messages (
    id    TEXT PRIMARY KEY,
    queue TEXT NOT NULL,
    body  BLOB NOT NULL,
    error TEXT NOT NULL,
    at    INTEGER NOT NULL
) STRICT;
