"""200 ms to the database and back: what a customer then waits for POST /api/orders. 8 connections.

The peer: FastAPI and Celery, the same rows in one transaction, by the same way to its database."""

import itertools
import time

from machine import percentile
from programs import until
from proxy import Proxy
from rivals import rival
from shop import Api, Refused, at_once, prepare, stage

WAY = 0.1
CONNECTIONS = 8
ORDERS = 40
ABOUT = __doc__


def run(bench):
    customers = prepare(bench)
    count = bench.scaled(ORDERS, 8)
    parties = {
        "ours": lambda: ours(bench, customers, count),
        "FastAPI + Celery": lambda: celery(bench, customers, count),
    }
    notes = [f"a statement that waits for its answer takes {2000 * WAY:.0f} ms: p50 tells how many do"]
    return {"main": "p95_ms", "unit": "p95 ms", "results": bench.alternate(parties), "notes": notes}


def far(bench, proxy, url):
    return url.replace(f":{bench.postgres.port}/", f":{proxy.port}/")


def ours(bench, customers, count):
    with stage(bench) as place, Proxy(bench.postgres.port, WAY) as proxy:
        _, api = place.web(DATABASE_URL=far(bench, proxy, place.settings["DATABASE_URL"]))
        return order(api, customers, count)


def celery(bench, customers, count):
    with rival(bench) as place, Proxy(bench.postgres.port, WAY) as proxy:
        place.fill(customers)
        place.task("enqueue", 1)
        _, address = place.fastapi(DATABASE_URL=far(bench, proxy, place.url))
        return order(Api(address), customers, count)


def order(api, customers, count):
    def one(customer):
        begun = time.perf_counter()
        api.order(customer)
        return (time.perf_counter() - begun) * 1000

    def patient(customer):
        """Connections that are being made and statements that are being prepared make the first ones wait too long."""
        try:
            return one(customer)
        except Refused as refusal:
            if refusal.status != 503:
                raise
            return None

    chosen = list(itertools.islice(itertools.cycle(customers), count))
    until("a turn without a refusal", lambda: None not in at_once(CONNECTIONS, patient, chosen), pause=1)
    found = at_once(CONNECTIONS, one, chosen)
    return {f"p{percent}_ms": percentile(found, percent) for percent in (50, 95)}
