-- The print shop: customers, photos, orders, and what they cost.
--
-- Each foreign key is a look and a lock at every insert. Those that are not here would be between rows that one
-- transaction writes or has just read; the consistency check looks for what they would hold. Products are hot, and
-- everybody's share lock on them would hold up whoever takes from the stock. A photo and an order outlive their jobs.

CREATE TABLE customers (
    id         TEXT PRIMARY KEY,
    token_hash TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE photos (
    id           TEXT PRIMARY KEY,
    customer_id  TEXT NOT NULL REFERENCES customers (id),
    job_id       TEXT NOT NULL,
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
-- What keeps a finished job: a subject that it did not bring to an end.
CREATE INDEX photos_unready ON photos (job_id) WHERE status = 'processing';

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
    stock       INTEGER NOT NULL CHECK (stock >= 0),
    -- What was put into stock in all, so that the consistency check can tell what must be left of it: `stock` is
    -- `stocked` without what orders have taken. Whoever restocks by hand adds to both columns.
    stocked     INTEGER NOT NULL DEFAULT 0,
    -- What it measures and how finely it is printed: what hangs on a wall needs fewer dots than what is held in the
    -- hand. The last check keeps a print within 40 million pixels (an inch has 25.4 mm, squared 645.16 mm²).
    short_mm    INTEGER NOT NULL DEFAULT 100 CHECK (short_mm > 0),
    long_mm     INTEGER NOT NULL DEFAULT 150 CHECK (long_mm >= short_mm),
    dpi         INTEGER NOT NULL DEFAULT 300
        CHECK (dpi BETWEEN 72 AND 1200 AND short_mm * long_mm * dpi * dpi <= 25806400000)
) STRICT;
INSERT INTO products (id, name, price_cents, stock, stocked, short_mm, long_mm, dpi) VALUES
    ('print-10x15', 'Print 10 × 15 cm', 29, 100000, 100000, 100, 150, 300),
    ('print-13x18', 'Print 13 × 18 cm', 49, 100000, 100000, 130, 180, 300),
    ('print-20x30', 'Print 20 × 30 cm', 390, 10000, 10000, 200, 300, 300),
    ('poster-50x70', 'Poster 50 × 70 cm', 1990, 1000, 1000, 500, 700, 200),
    ('canvas-60x80', 'Canvas 60 × 80 cm (limited)', 5990, 3, 3, 600, 800, 150);

CREATE TABLE orders (
    id            TEXT PRIMARY KEY,
    customer_id   TEXT NOT NULL,
    job_id        TEXT NOT NULL,
    email         TEXT NOT NULL,
    express       INTEGER NOT NULL DEFAULT 0,
    status        TEXT NOT NULL CHECK (status IN ('received', 'awaiting_photos', 'reserved', 'paid', 'rendering', 'confirmed', 'rejected', 'cancelled')),
    reason        TEXT CHECK (reason IN ('photo_rejected', 'out_of_stock', 'declined')),
    total_cents   INTEGER NOT NULL,
    payment_token TEXT NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX orders_of_customer ON orders (customer_id, id);
CREATE INDEX orders_unfinished ON orders (job_id) WHERE status NOT IN ('confirmed', 'rejected', 'cancelled');
-- The sales report goes through a day's orders in pages.
CREATE INDEX orders_by_time ON orders (created_at, id);

-- photo_id is no foreign key: a photo may be deleted once the order is over.
CREATE TABLE order_lines (
    order_id    TEXT NOT NULL,
    position    INTEGER NOT NULL,
    photo_id    TEXT NOT NULL,
    product_id  TEXT NOT NULL,
    quantity    INTEGER NOT NULL CHECK (quantity BETWEEN 1 AND 100),
    price_cents INTEGER NOT NULL,
    PRIMARY KEY (order_id, position)
) STRICT;
CREATE INDEX order_lines_of_photo ON order_lines (photo_id);

-- An event is found by its order.
CREATE TABLE order_events (
    id       TEXT NOT NULL,
    order_id TEXT NOT NULL,
    at       INTEGER NOT NULL,
    event    TEXT NOT NULL,
    detail   TEXT,
    PRIMARY KEY (order_id, id)
) STRICT;

-- The key makes taking and giving back idempotent: once an order, product and kind.
CREATE TABLE stock_moves (
    order_id   TEXT NOT NULL,
    product_id TEXT NOT NULL,
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
    customer_id  TEXT NOT NULL,
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

-- Which products were ordered together, and how often.
CREATE TABLE also_bought (
    product_id TEXT NOT NULL REFERENCES products (id),
    other_id   TEXT NOT NULL REFERENCES products (id),
    orders     INTEGER NOT NULL CHECK (orders > 0),
    PRIMARY KEY (product_id, other_id)
) STRICT;

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
