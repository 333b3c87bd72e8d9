"""Orders from their POST to their confirmation, ours and Celery's: both are in tables of the same names."""

import itertools

from programs import until
from shop import at_once

BUYERS = 16


def confirm(place, api, programs, customers, count, products=("print-10x15",)):
    """Sends orders as fast as they are taken, and waits until all are confirmed. `programs` are {group: list}."""
    before = confirmed(place)
    window = place.bench.measure(**programs)
    begun = clock(place)
    orders = zip(range(count), itertools.cycle(customers), itertools.cycle(products))
    at_once(BUYERS, lambda order: api.order(order[1], order[2]), orders)
    until("the orders", lambda: confirmed(place) == before + count, pause=0.1)
    ended = float(place.sql.value("SELECT extract(epoch FROM max(at)) FROM order_events WHERE event = 'confirmed'"))
    for program in itertools.chain(*programs.values()):
        program.must_live()
    return window.end(count, ended - begun)


def clock(place):
    return float(place.sql.value("SELECT extract(epoch FROM clock_timestamp())"))


def confirmed(place):
    failed = place.sql.rows("SELECT id, status FROM orders WHERE status IN ('rejected', 'cancelled') LIMIT 3")
    if failed:
        raise RuntimeError(f"orders were not confirmed: {failed}")
    return int(place.sql.value("SELECT count(*) FROM orders WHERE status = 'confirmed'"))
