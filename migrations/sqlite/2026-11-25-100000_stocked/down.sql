ALTER TABLE products DROP COLUMN stocked;
