-- The sales report goes through a day's orders in pages.
CREATE INDEX orders_by_time ON orders (created_at, id);
