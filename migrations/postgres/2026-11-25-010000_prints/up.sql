-- What each product measures and how finely it is printed: what hangs on a wall needs fewer dots than what is held
-- in the hand. The last check keeps a print within 40 million pixels (an inch has 25.4 mm, squared 645.16 mm²).

ALTER TABLE products ADD COLUMN short_mm integer NOT NULL DEFAULT 100 CHECK (short_mm > 0);
ALTER TABLE products ADD COLUMN long_mm integer NOT NULL DEFAULT 150 CHECK (long_mm >= short_mm);
ALTER TABLE products ADD COLUMN dpi integer NOT NULL DEFAULT 300
    CHECK (dpi BETWEEN 72 AND 1200 AND CAST(short_mm AS bigint) * long_mm * dpi * dpi <= 25806400000);

UPDATE products SET short_mm = 130, long_mm = 180 WHERE id = 'print-13x18';
UPDATE products SET short_mm = 200, long_mm = 300 WHERE id = 'print-20x30';
UPDATE products SET short_mm = 500, long_mm = 700, dpi = 200 WHERE id = 'poster-50x70';
UPDATE products SET short_mm = 600, long_mm = 800, dpi = 150 WHERE id = 'canvas-60x80';
