-- What was put into stock in all, so that the consistency check can tell what must be left of it: `stock` is `stocked`
-- without what orders have taken. Whoever restocks by hand adds to both columns.
ALTER TABLE products ADD COLUMN stocked INTEGER NOT NULL DEFAULT 0;
UPDATE products SET stocked = stock + COALESCE(
    (SELECT SUM(CASE kind WHEN 'reserve' THEN quantity ELSE -quantity END) FROM stock_moves WHERE product_id = products.id),
    0
);
