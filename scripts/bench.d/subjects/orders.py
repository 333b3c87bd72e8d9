"""POST /api/orders: 32 connections, a new key each time, customers with a ready photo each, nobody at work behind.

Peers: FastAPI and Celery, the same rows in one transaction and then a message. The limit: pgbench with our own
statements, as they were recorded of one order."""

import json

import wrk
from rivals import rival
from shop import order_body, prepare, stage
from subjects import order_limit

CONNECTIONS = 32
ABOUT = __doc__


def run(bench):
    customers = prepare(bench)
    requests = wrk.write(bench, [request(customer) for customer in customers])
    limits = order_limit.record(bench, customers)
    parties = {
        "ours": lambda: ours(bench, requests),
        "FastAPI + Celery": lambda: celery(bench, requests, customers),
        "pgbench, our statements one by one": lambda: order_limit.run(bench, limits["single"], CONNECTIONS),
        "pgbench, all of them in one trip": lambda: order_limit.run(bench, limits["piped"], CONNECTIONS),
    }
    notes = [f"an order is {limits['statements']} statements in {limits['trips']} round trips to the database",
             "FastAPI + Celery sends its message after the commit, without an outbox: a crash in between loses it"]
    return {"main": "rate", "unit": "orders/s", "results": bench.alternate(parties), "notes": notes}


def request(customer, product="print-10x15"):
    return ("POST", "/api/orders", customer["token"],
            {"Idempotency-Key": wrk.NEW_KEY, "Content-Type": "application/json"},
            json.dumps(order_body(customer, product)))


def load(bench, address, requests, seconds=6.0, connections=CONNECTIONS, **programs):
    """Warms up, then measures."""
    wrk.load(address, requests, connections, bench.scaled(2.0, 2))
    window = bench.measure(**programs)
    result = wrk.load(address, requests, connections, bench.scaled(seconds, 2))
    costs = window.end(result["requests"], result["seconds"])
    return costs | {name: result[name] for name in ("p50_ms", "p99_ms")}


def ours(bench, requests):
    with stage(bench) as place:
        web, api = place.web()
        return load(bench, api.address, requests, web=web)


def celery(bench, requests, customers):
    with rival(bench) as place:
        place.fill(customers)
        # A first message makes the queue.
        place.task("enqueue", 1)
        web, address = place.fastapi()
        return load(bench, address, requests, web=web)
