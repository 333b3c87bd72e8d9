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
    # Filled once, for all rounds: what they add is little.
    with stage(bench) as deep:
        waiting, over = bench.scaled(WAITING, 1000), bench.scaled(OVER, 1000)
        fill(deep, customers, waiting, over)
        parties = {
            "ours, empty": lambda: empty(bench, requests),
            "ours, deep": lambda: post(deep, requests),
        }
        results = bench.alternate(parties)
    notes = [f"waiting: {waiting:,}, over: {over:,}", "in brackets: deep to empty, by rate"]
    return {"main": "rate", "unit": "orders/s", "results": results, "notes": notes}


def empty(bench, requests):
    with stage(bench) as place:
        return post(place, requests)


def post(place, requests):
    web, api = place.web()
    try:
        return load(place.bench, api.address, requests, web=web)
    finally:
        web.stop()


def fill(place, customers, waiting, over):
    web, api = place.web()
    worker = place.worker()
    api.order(customers[BUSY])
    until("the order", lambda: place.count("state <> 'succeeded'") == 0)
    worker.stop()
    # While nobody works, each busy customer's share is with the broker and the rest waits here.
    for customer in customers[:BUSY]:
        at_once(8, lambda _, customer=customer: api.order(customer), range(SHARE))
    web.stop()
    done = place.sql.value("SELECT id FROM jobs WHERE kind = 'fulfil_order' AND state = 'succeeded'")
    owners = ", ".join(f"'{customer['id']}'" for customer in customers)
    # Over for days, and everybody's.
    before = f"- interval '7 days' * n / {over}"
    more = (f"'owner', (ARRAY[{owners}])[1 + n % {len(customers)}],"
            f" 'created_at', created_at {before}, 'updated_at', updated_at {before}")
    copy(place, done, over, "0190", more)
    for number, customer in enumerate(customers[:BUSY]):
        parked = place.sql.rows(
            f"SELECT id FROM jobs WHERE owner = '{customer['id']}' AND state = 'pending' ORDER BY id DESC LIMIT 1")
        if not parked:
            raise RuntimeError(f"of {SHARE} orders of one customer none was parked")
        copy(place, parked[0][0], waiting // BUSY, f"019{number}ffff")
    place.sql.rows("VACUUM ANALYZE")
    # What the filling left to be written must not be written while orders come.
    place.sql.rows("CHECKPOINT")


def copy(place, job, count, prefix, more="'id', NULL"):
    """The same row under other ids, which begin with `prefix` and go up, and with other columns."""
    place.sql.rows(
        f"INSERT INTO jobs SELECT (jsonb_populate_record(jobs, jsonb_build_object({more}, 'id',"
        f" '{prefix}' || substr(lpad(to_hex(n), 32, '0'), {len(prefix) + 1})))).*"
        f" FROM jobs, generate_series(1, {count}) n WHERE id = '{job}'")
