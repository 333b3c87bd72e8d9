"""300 orders from POST to confirmed: web and two workers, prints very small.

The peer: the same in Celery, a chain of tasks that write the same rows, two workers with two processes each."""

import flow
from rivals import rival
from shop import Api, prepare, stage

ORDERS = 300
ABOUT = __doc__
NOTES = ["Celery's chain has no checkpoints and no undo, and its first message is sent after the commit"]


def run(bench):
    customers = prepare(bench)
    count, warm_up = bench.scaled(ORDERS, 10), bench.scaled(30, 5)
    parties = {
        "ours": lambda: ours(bench, customers, count, warm_up),
        "FastAPI + Celery": lambda: celery(bench, customers, count, warm_up),
    }
    return {"main": "rate", "unit": "orders/s", "results": bench.alternate(parties), "notes": NOTES}


def ours(bench, customers, count, warm_up, set_up=None, products=("print-10x15",)):
    with stage(bench) as place:
        if set_up:
            set_up(place)
        web, api = place.web()
        programs = {"web": [web], "worker": [place.worker(), place.worker()]}
        flow.confirm(place, api, programs, customers, warm_up, products)
        return flow.confirm(place, api, programs, customers, count, products)


def celery(bench, customers, count, warm_up):
    with rival(bench) as place:
        place.fill(customers)
        workers = [place.celery(2, f"celery{number}", PREFETCH=8) for number in (1, 2)]
        web, address = place.fastapi()
        programs = {"web": [web], "worker": workers}
        flow.confirm(place, Api(address), programs, customers, warm_up)
        return flow.confirm(place, Api(address), programs, customers, count)
