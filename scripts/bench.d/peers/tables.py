"""The tables of the peers: what an order, its job and its customer are in ours, with the indexes that answer the same
questions. A job's row is there because clients poll it: the message alone could not be asked."""

SCHEMA = """
CREATE TABLE customers (
    id uuid PRIMARY KEY, token_hash text NOT NULL UNIQUE, created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE photos (id uuid PRIMARY KEY, customer_id uuid NOT NULL REFERENCES customers, status text NOT NULL);
CREATE TABLE products (
    id text PRIMARY KEY, name text NOT NULL, price_cents bigint NOT NULL, stock integer NOT NULL CHECK (stock >= 0)
);
CREATE TABLE jobs (
    id uuid PRIMARY KEY, kind text NOT NULL, owner uuid, args jsonb NOT NULL, state text NOT NULL, progress jsonb,
    result jsonb, created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON jobs (owner, id);
CREATE TABLE orders (
    id uuid PRIMARY KEY, customer_id uuid NOT NULL REFERENCES customers, job_id uuid NOT NULL REFERENCES jobs,
    email text NOT NULL, status text NOT NULL, total_cents bigint NOT NULL, payment_token text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON orders (customer_id, id);
CREATE TABLE order_lines (
    order_id uuid NOT NULL REFERENCES orders, position integer NOT NULL, photo_id uuid NOT NULL,
    product_id text NOT NULL REFERENCES products, quantity integer NOT NULL, price_cents bigint NOT NULL,
    PRIMARY KEY (order_id, position)
);
CREATE TABLE order_events (
    order_id uuid NOT NULL REFERENCES orders, at timestamptz NOT NULL DEFAULT clock_timestamp(), event text NOT NULL,
    PRIMARY KEY (order_id, at)
);
CREATE TABLE stock_moves (
    order_id uuid NOT NULL REFERENCES orders, product_id text NOT NULL, quantity integer NOT NULL,
    PRIMARY KEY (order_id, product_id)
);
CREATE TABLE payments (order_id uuid PRIMARY KEY, state text NOT NULL, amount_cents bigint NOT NULL);
CREATE TABLE idempotency_keys (
    customer_id uuid NOT NULL REFERENCES customers, key text NOT NULL, request_hash text NOT NULL, body text,
    created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (customer_id, key)
);
"""
