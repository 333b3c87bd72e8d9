"""50 small tasks a second for 20 s: from enqueuing to the end.

Ours: POST /api/tasks/remake_thumbnails of a photo that is not there (one SELECT), from the row's birth to its end.
Peers: Celery with its results in PostgreSQL; BullMQ on a Redis that flushes each write."""

import json
import time

from bench import PEERS
from machine import percentile
from programs import Program, free_port, until
from programs import run as command
from rivals import rival
from shop import MACHINE, at_once, prepare, stage

RATE = 50
ABOUT = __doc__
NOTES = ["BullMQ keeps its jobs in Redis and not in PostgreSQL, and tells times in whole milliseconds",
         "ours comes by HTTP; what that takes before the row is there is not in it. Celery's enqueuing is in it"]


def run(bench):
    prepare(bench)
    seconds = bench.scaled(20.0, 2)
    parties = {
        "ours": lambda: ours(bench, seconds),
        "Celery": lambda: celery(bench, seconds),
        "BullMQ": lambda: bullmq(bench, seconds),
    }
    return {"main": "p50_ms", "unit": "p50 ms", "results": bench.alternate(parties), "notes": NOTES}


def times(found):
    return {"p50_ms": percentile(found, 50), "p99_ms": percentile(found, 99)}


def ours(bench, seconds):
    nobody = {"photo_id": "00000000-0000-7000-8000-000000000000"}
    with stage(bench) as place:
        web, api = place.web()
        worker = place.worker()

        def offer(count):
            begun = time.monotonic()

            def post(number):
                time.sleep(max(0.0, begun + number / RATE - time.monotonic()))
                api.ask("POST", "/api/tasks/remake_thumbnails", MACHINE, nobody)

            at_once(16, post, range(count))

        offer(RATE)
        wait(place, RATE)
        window = bench.measure(web=web, worker=worker)
        count = int(RATE * seconds)
        offer(count)
        wait(place, RATE + count)
        costs = window.end(count)
        rows = place.sql.rows(
            "SELECT extract(epoch FROM updated_at - created_at) * 1000 FROM jobs WHERE kind = 'remake_thumbnails'"
            f" ORDER BY created_at DESC LIMIT {count}")
        del costs["rate"]
        return costs | times([float(row[0]) for row in rows])


def wait(place, count):
    # That a photo is not there is no success.
    until("the tasks", lambda: place.count("kind = 'remake_thumbnails' AND state = 'failed'") == count, pause=0.2)


def celery(bench, seconds):
    with rival(bench) as place:
        settings = {"RESULTS": place.results_url(), "PREFETCH": 8, "PGTZ": "UTC"}
        worker = place.celery(2, **settings)
        place.task("offer", RATE, 1, **settings)
        results(place, RATE)
        window = bench.measure(worker=worker)
        count = int(RATE * seconds)
        place.task("offer", RATE, seconds, **settings)
        results(place, RATE + count)
        costs = window.end(count)
        # A task's id begins with the time at which it was sent.
        rows = place.sql.rows(
            "SELECT (extract(epoch FROM date_done) - split_part(task_id, '-', 1)::numeric) * 1000 FROM celery_taskmeta"
            f" ORDER BY date_done DESC LIMIT {count}")
        place.must_have_done(worker, RATE + count)
        del costs["rate"]
        return costs | times([float(row[0]) for row in rows])


def results(place, count):
    def all_there():
        if place.sql.value("SELECT to_regclass('celery_taskmeta') IS NOT NULL") != "t":
            return False
        return int(place.sql.value("SELECT count(*) FROM celery_taskmeta WHERE status = 'SUCCESS'")) == count

    until("Celery's results", all_there, pause=0.2)


def bullmq(bench, seconds):
    with bench.place() as (name, _):
        folder = bench.folder / f"redis-{name}"
        folder.mkdir()
        port = free_port()
        server = [bench.tools / "redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", folder, "--save", "",
                  "--appendonly", "yes", "--appendfsync", "always"]
        with Program("redis", server, folder, {}, "Ready to accept connections") as redis:
            client = ["node", PEERS / "bullmq.js", port, RATE]
            settings = {"NODE_PATH": bench.tools / "node/node_modules"}
            command([*client, 1], settings)
            window = bench.measure(redis=redis)
            found = json.loads(command([*client, seconds], settings).strip().splitlines()[-1])
            costs = window.end(len(found))
            # PostgreSQL and RabbitMQ have no part in it.
            return {"cpu_redis": costs["cpu_redis"]} | times(found)
