"""5,000 jobs that do next to nothing, with the broker already, and one worker with 2, 16 and 50 slots.

No kind of ours does nothing at all. The cheapest is a mail about an order that is not there: one SELECT, then done.
Peers: Celery with 2 processes, once with its results in PostgreSQL and once keeping nothing, 16 messages at a time."""

import re
import time

from rivals import rival
from programs import until
from shop import prepare, stage

JOBS = 5000
ABOUT = __doc__
NOTES = ["a job of ours is a row that is claimed and settled; Celery's is a message, and at most a row at its end",
         "cpu of web: the relay that publishes, of 1,000 jobs; the rows were written before",
         "awa (Rust, PostgreSQL alone) is left out: it needs a Rust build"]


def run(bench):
    prepare(bench)
    count = bench.scaled(JOBS, 50)
    parties = {
        "ours, 16 slots": lambda: ours(bench, count, 16),
        "ours, 2 slots": lambda: ours(bench, count, 2),
        "ours, 50 slots": lambda: ours(bench, count, 50),
        "ours, publishing": lambda: publishing(bench, count),
        "Celery, results in PostgreSQL": lambda: celery(bench, count, True),
        "Celery, nothing kept": lambda: celery(bench, count, False),
    }
    return {"main": "rate", "unit": "jobs/s", "results": bench.alternate(parties), "notes": NOTES}


def park(place, count):
    """Writes jobs of a paused queue: as the program writes one, so many times."""
    place.command("queues", "pause", "mail")
    nobody = "00000000-0000-7000-8000-000000000000"
    said = place.command("run", "remake_thumbnails", f'{{"photo_id":"{nobody}"}}', "--queue", "mail")
    first = re.search(r"[0-9a-f]{8}-[0-9a-f-]{27}", said)[0]
    # Version 7, in the order of their numbers: as ids of the program are.
    place.sql.rows(
        "INSERT INTO jobs SELECT (jsonb_populate_record(jobs, jsonb_build_object("
        f" 'id', overlay(jobs.id::text placing lpad(to_hex(n), 12, '0') from 25), 'kind', 'send_email', 'args',"
        f" jsonb_build_object('order_id', '{nobody}', 'template', 'order_confirmed')))).*"
        f" FROM jobs, generate_series(1, {count}) n WHERE id = '{first}'")
    place.sql.rows(f"DELETE FROM jobs WHERE id = '{first}'")
    place.sql.rows("ANALYZE jobs")


def publish(place, count):
    """Lets web hand them to the broker; nobody takes them yet."""
    place.command("queues", "resume", "mail")
    # Its published rows are with the broker when it says so.
    until("the jobs to be published", lambda: count_not_queued(place) == 0)
    until("their messages", lambda: ready(place) >= count, pause=0.2)


def ready(place):
    rabbitmq = place.bench.rabbitmq
    # There is nothing else on this part of the broker.
    return sum(queue.get("messages_ready", 0) for queue in rabbitmq.ask("GET", f"/queues/{place.database}"))


def publishing(bench, count):
    with stage(bench) as place:
        web, _ = place.web()
        park(place, count)
        window = bench.measure(web=web)
        place.command("queues", "resume", "mail")
        # Not from the command on, which is a program that starts, and a relay that looks once in a while.
        until("the first to be published", lambda: count_not_queued(place) < count, pause=0.005)
        begun, left = time.perf_counter(), count_not_queued(place)
        until("the jobs to be published", lambda: count_not_queued(place) == 0, pause=0.02)
        took = time.perf_counter() - begun
        return window.end(count) | {"rate": left / took if left else float(count), "seconds": took}


def count_not_queued(place):
    return place.count("kind = 'send_email' AND state <> 'queued'")


def ours(bench, count, slots):
    with stage(bench) as place:
        web, _ = place.web()
        park(place, count)
        publish(place, count)
        web.stop()
        worker = place.worker(QUEUES=f"mail={slots}")
        window = bench.measure(worker=worker)
        before = done(place)
        begun = float(place.sql.value("SELECT extract(epoch FROM clock_timestamp())"))
        # Seldom: a count of all costs PostgreSQL more than a job.
        until("the jobs", lambda: done(place) == count, pause=0.25)
        worker.must_live()
        ended = float(place.sql.value("SELECT extract(epoch FROM max(updated_at)) FROM jobs WHERE kind = 'send_email'"))
        return window.end(count - before, max(ended - begun, 0.001))


def done(place):
    return place.count("kind = 'send_email' AND state = 'succeeded'")


def celery(bench, count, keeps):
    with rival(bench) as place:
        settings = {"PREFETCH": 8}
        if keeps:
            settings["RESULTS"] = place.results_url()
        place.task("enqueue", count, **settings)
        drained = place.watch(**settings)
        worker = place.celery(2, **settings)
        # What was done before it said so is as good as nothing.
        window, begun = bench.measure(worker=worker), time.time()
        until("the queue to be empty", lambda: drained.process.poll() is not None)
        ended = float(drained.text().split()[-1])
        if keeps:
            until("the results", lambda: int(place.sql.value("SELECT count(*) FROM celery_taskmeta")) == count)
            ended = time.time()
        worker.must_live()
        result = window.end(count, ended - begun)
        place.must_have_done(worker, count)
        return result
