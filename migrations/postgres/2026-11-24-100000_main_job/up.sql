-- The print shop's main job: photos, orders, and the jobs that work on them.

CREATE TABLE customers (
    id         uuid PRIMARY KEY,
    token_hash text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL
);

-- Job store, outbox and status resource in one row.
CREATE TABLE jobs (
    id                  uuid PRIMARY KEY,
    kind                text NOT NULL,
    queue               text NOT NULL,
    args                jsonb NOT NULL,
    state               text NOT NULL CHECK (state IN ('pending', 'queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled')),
    failure             text CHECK (failure IN ('discarded', 'exhausted', 'crashed')),
    fence               bigint NOT NULL DEFAULT 0,
    attempt             integer NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    max_attempts        integer NOT NULL,
    lapses              integer NOT NULL DEFAULT 0,
    woken               boolean NOT NULL DEFAULT false,
    published           integer NOT NULL DEFAULT 0,
    run_at              timestamptz NOT NULL,
    republish_at        timestamptz,
    unavailable_since   timestamptz,
    started_at          timestamptz,
    worker              uuid,
    undoing             boolean NOT NULL DEFAULT false,
    checkpoint          jsonb,
    progress            jsonb,
    result              jsonb,
    errors              jsonb NOT NULL,
    cancel_requested_at timestamptz,
    owner               uuid,
    traceparent         text,
    version             bigint NOT NULL DEFAULT 1,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    CHECK ((state = 'failed') = (failure IS NOT NULL))
);
-- One index a question: what is due, what must be published again, what runs in which process.
CREATE INDEX jobs_pending ON jobs (run_at) WHERE state = 'pending';
CREATE INDEX jobs_queued ON jobs (republish_at) WHERE state = 'queued';
CREATE INDEX jobs_running ON jobs (worker) WHERE state = 'running';

-- Who waits for whom: fan-in and "photos ready" alike.
CREATE TABLE job_waits (
    waiter uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    on_job uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    PRIMARY KEY (waiter, on_job)
);
CREATE INDEX job_waits_on_job ON job_waits (on_job);

CREATE TABLE photos (
    id           uuid PRIMARY KEY,
    customer_id  uuid NOT NULL REFERENCES customers (id),
    job_id       uuid NOT NULL REFERENCES jobs (id),
    status       text NOT NULL CHECK (status IN ('processing', 'ready', 'rejected')),
    reason       text,
    file_name    text,
    content_type text NOT NULL,
    bytes        bigint NOT NULL,
    width        integer,
    height       integer,
    created_at   timestamptz NOT NULL
);
CREATE INDEX photos_of_customer ON photos (customer_id, id);

CREATE TABLE photo_variants (
    photo_id     uuid NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
    name         text NOT NULL,
    width        integer NOT NULL,
    height       integer NOT NULL,
    content_type text NOT NULL,
    bytes        bigint NOT NULL,
    PRIMARY KEY (photo_id, name)
);

CREATE TABLE products (
    id          text PRIMARY KEY,
    name        text NOT NULL,
    price_cents bigint NOT NULL CHECK (price_cents > 0),
    stock       integer NOT NULL CHECK (stock >= 0)
);
INSERT INTO products (id, name, price_cents, stock) VALUES
    ('print-10x15', 'Print 10 × 15 cm', 29, 100000),
    ('print-13x18', 'Print 13 × 18 cm', 49, 100000),
    ('print-20x30', 'Print 20 × 30 cm', 390, 10000),
    ('poster-50x70', 'Poster 50 × 70 cm', 1990, 1000),
    ('canvas-60x80', 'Canvas 60 × 80 cm (limited)', 5990, 3);

CREATE TABLE orders (
    id            uuid PRIMARY KEY,
    customer_id   uuid NOT NULL REFERENCES customers (id),
    job_id        uuid NOT NULL REFERENCES jobs (id),
    email         text NOT NULL,
    status        text NOT NULL CHECK (status IN ('received', 'awaiting_photos', 'reserved', 'paid', 'rendering', 'confirmed', 'rejected', 'cancelled')),
    reason        text CHECK (reason IN ('photo_rejected', 'out_of_stock', 'declined')),
    total_cents   bigint NOT NULL,
    payment_token text NOT NULL,
    created_at    timestamptz NOT NULL
);
CREATE INDEX orders_of_customer ON orders (customer_id, id);

-- photo_id is no foreign key: a photo may be deleted once the order is over.
CREATE TABLE order_lines (
    order_id    uuid NOT NULL REFERENCES orders (id),
    position    integer NOT NULL,
    photo_id    uuid NOT NULL,
    product_id  text NOT NULL REFERENCES products (id),
    quantity    integer NOT NULL CHECK (quantity BETWEEN 1 AND 100),
    price_cents bigint NOT NULL,
    PRIMARY KEY (order_id, position)
);
CREATE INDEX order_lines_of_photo ON order_lines (photo_id);

CREATE TABLE order_events (
    id       uuid PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES orders (id),
    at       timestamptz NOT NULL,
    event    text NOT NULL,
    detail   text
);
CREATE INDEX order_events_of_order ON order_events (order_id, id);

-- The key makes taking and giving back idempotent: once an order, product and kind.
CREATE TABLE stock_moves (
    order_id   uuid NOT NULL REFERENCES orders (id),
    product_id text NOT NULL REFERENCES products (id),
    kind       text NOT NULL CHECK (kind IN ('reserve', 'release')),
    quantity   integer NOT NULL CHECK (quantity > 0),
    at         timestamptz NOT NULL,
    PRIMARY KEY (order_id, product_id, kind)
);

-- The sandbox gateway's ledger: one charge an order.
CREATE TABLE payments (
    order_id     uuid PRIMARY KEY,
    state        text NOT NULL CHECK (state IN ('asked', 'charged', 'declined', 'refunded', 'voided')),
    amount_cents bigint NOT NULL,
    asked        integer NOT NULL,
    updated_at   timestamptz NOT NULL
);

CREATE TABLE idempotency_keys (
    customer_id  uuid NOT NULL REFERENCES customers (id),
    key          text NOT NULL,
    request_hash text NOT NULL,
    location     text NOT NULL,
    body         text NOT NULL,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (customer_id, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- Locked while a mail's place within the limit per recipient is taken.
CREATE TABLE mail_recipients (
    recipient text PRIMARY KEY
);

-- One row a mail: its place within the limit, and whether it was handed over.
CREATE TABLE mails (
    job_id    uuid PRIMARY KEY,
    recipient text NOT NULL REFERENCES mail_recipients (recipient),
    at        timestamptz NOT NULL,
    sent      boolean NOT NULL
);
CREATE INDEX mails_to ON mails (recipient, at);

-- Messages that are no envelope of ours, kept for a person to look at.
CREATE TABLE dead_messages (
    id    uuid PRIMARY KEY,
    queue text NOT NULL,
    body  bytea NOT NULL,
    error text NOT NULL,
    at    timestamptz NOT NULL
);
