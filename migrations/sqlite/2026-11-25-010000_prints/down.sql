ALTER TABLE products DROP COLUMN dpi;
ALTER TABLE products DROP COLUMN long_mm;
ALTER TABLE products DROP COLUMN short_mm;
