"""Orders that all buy the same product, against orders of 100 products: POST to confirmed, web and two workers.

What the row of one product can bear at most, with 1 ms of way between the statements, is an experiment with the
database alone, and not here."""

from shop import prepare
from subjects import pipeline

PRODUCTS = [f"print-{number:03}" for number in range(100)]
ABOUT = __doc__
NOTES = ["in brackets: the one to the many; 1 if its row is in nobody's way"]


def run(bench):
    customers = prepare(bench)
    count, warm_up = bench.scaled(pipeline.ORDERS, 10), bench.scaled(30, 5)
    parties = {
        "ours, 100 products": lambda: pipeline.ours(bench, customers, count, warm_up, stock_up, PRODUCTS),
        "ours, one product": lambda: pipeline.ours(bench, customers, count, warm_up, stock_up, PRODUCTS[:1]),
    }
    return {"main": "rate", "unit": "orders/s", "results": bench.alternate(parties), "notes": NOTES}


def stock_up(place):
    """Copies of a product of the program's, whatever columns it has."""
    place.sql.rows(
        "INSERT INTO products SELECT (jsonb_populate_record(products, jsonb_build_object('id', new))).*"
        f" FROM products, unnest(ARRAY{PRODUCTS}) new WHERE id = 'print-10x15'")
