"""POST /api/orders on an empty table, and beside 100,000 jobs that wait and 1,000,000 that are over.

Those that wait are ten customers' who have more than their share with the broker; the orders come from all others.
Every row is a copy of one that the program wrote: of a parked job, and of a finished order's."""

import wrk
from programs import until
from shop import at_once, prepare, stage
from subjects.orders import load, request

BUSY = 10
WAITING = 100_000
OVER = 1_000_000
# More than an owner may have with the broker: the last ones wait.
SHARE = 60
ABOUT = __doc__


def run(bench):
    customers = prepare(bench)
    requests = wrk.write(bench, [request(customer) for customer in customers[BUSY:]])
    fill(bench, customers)
    parties = {
        "ours, empty": lambda: ours(bench, requests, "shop"),
        "ours, deep": lambda: ours(bench, requests, "deep"),
    }
    try:
        results = bench.alternate(parties)
    finally:
        bench.postgres.drop("deep")
    notes = [f"waiting: {bench.scaled(WAITING, 1000):,}, over: {bench.scaled(OVER, 1000):,}",
             "in brackets: deep to empty, by rate"]
    return {"main": "rate", "unit": "orders/s", "results": results, "notes": notes}


def ours(bench, requests, template):
    with stage(bench, template) as place:
        web, api = place.web()
        return load(bench, api.address, requests, web=web)


def fill(bench, customers):
    """Makes the database `deep`."""
    with stage(bench) as place:
        web, api = place.web()
        worker = place.worker()
        api.order(customers[BUSY])
        until("the order", lambda: place.count("state <> 'succeeded'") == 0)
        worker.stop()
        # While nobody works, each busy customer's share is with the broker and the rest waits here.
        for customer in customers[:BUSY]:
            at_once(8, lambda _, customer=customer: api.order(customer), range(SHARE))
        web.stop()
        over = place.sql.value("SELECT id FROM jobs WHERE kind = 'fulfil_order' AND state = 'succeeded'")
        copy(place, f"id = '{over}'", bench.scaled(OVER, 1000), "0190")
        each = bench.scaled(WAITING, 1000) // BUSY
        for number, customer in enumerate(customers[:BUSY]):
            parked = place.sql.rows(
                f"SELECT id FROM jobs WHERE owner = '{customer['id']}' AND state = 'pending' ORDER BY id DESC LIMIT 1")
            if not parked:
                raise RuntimeError(f"of {SHARE} orders of one customer none was parked")
            copy(place, f"id = '{parked[0][0]}'", each, f"019{number}ffff")
        place.sql.rows("VACUUM ANALYZE")
        name = place.database
        place.close()
        bench.postgres.create("deep", name)


def copy(place, where, count, prefix):
    """The same row under other ids, which begin with `prefix` and go up."""
    place.sql.rows(
        "INSERT INTO jobs SELECT (jsonb_populate_record(jobs, jsonb_build_object('id',"
        f" '{prefix}' || substr(lpad(to_hex(n), 32, '0'), {len(prefix) + 1})))).* FROM jobs, generate_series(1, {count}) n"
        f" WHERE {where}")
