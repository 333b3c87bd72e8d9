"""Our own programs on a place of their own, and their customers."""

import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import secrets
import threading

from bench import PEERS
from programs import Program, run, until
from servers import Psql

LISTENING = r"listening on http://(\S+)"
CUSTOMERS = 250
MACHINE = "machine-token-of-the-benchmark-" + secrets.token_hex(8)


class Refused(RuntimeError):
    """An answer that was not expected."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


class Api:
    """A client that keeps its connection; each thread has its own."""

    def __init__(self, address):
        self.address = address
        self.local = threading.local()

    def ask(self, method, path, token=None, body=None, headers=(), expect=202):
        connection = getattr(self.local, "connection", None)
        if connection is None:
            connection = self.local.connection = http.client.HTTPConnection(self.address, timeout=120)
        sent = dict(headers)
        if token:
            sent["Authorization"] = f"Bearer {token}"
        if isinstance(body, dict):
            sent["Content-Type"] = "application/json"
            body = json.dumps(body)
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != expect:
            raise Refused(answer.status, f"{method} {path}: {answer.status} instead of {expect}: {text[:500]!r}")
        return (json.loads(text) if text else None), answer.headers

    def order(self, customer, product="print-10x15"):
        body, _ = self.ask("POST", "/api/orders", customer["token"], order_body(customer, product),
                           {"Idempotency-Key": secrets.token_hex(8)})
        return body


def order_body(customer, product="print-10x15"):
    # Each customer has an address of their own: there is a limit of mails per recipient.
    return {"email": f"{customer['id']}@example.org", "payment_token": "tok_ok",
            "lines": [{"photo_id": customer["photo"], "product": product, "quantity": 1}]}


def at_once(threads, action, things):
    """Does something with each thing, several at a time; gives the results in order."""
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(action, things))


class Stage:
    """A place with our programs on it."""

    def __init__(self, bench, database, amqp):
        self.bench, self.database, self.amqp = bench, database, amqp
        self.sql = Psql(bench.postgres.url(database, "bench"))
        self.programs = contextlib.ExitStack()
        self.settings = {
            "DATABASE_URL": bench.postgres.url(database).partition("?")[0],
            "AMQP_URL": amqp,
            # One folder for all: names are never used twice.
            "BLOB_URL": f"file://{bench.folder}/blobs",
            "DATA_DIR": bench.folder / f"data-{database}",
            "SECRET_KEYS": "a-secret-of-the-benchmark-that-is-long-enough",
            "BASE_URL": "http://127.0.0.1",
            "HTTP_ADDR": "127.0.0.1:0",
            "WORKER_HTTP_ADDR": "127.0.0.1:0",
            "RATE_LIMIT": "off",
            "MAX_UNFINISHED": 10_000_000,
            "MAX_UNFINISHED_PER_CUSTOMER": 1_000_000,
            "MACHINE_TOKENS": f"bench:{MACHINE}",
            # Peers do no such things: nothing may begin by itself in the middle of a round.
            "SCHEDULE": "off",
            "REVIEW_HOURS": 0,
        }

    def command(self, *arguments):
        return run([self.bench.bin / "worker", *arguments], self.settings, self.bench.folder)

    def _start(self, name, settings):
        program = Program(name, [self.bench.bin / name], self.bench.folder, self.settings | settings, LISTENING)
        return self.programs.enter_context(program)

    def web(self, **settings):
        program = self._start("web", settings)
        return program, Api(program.said)

    def worker(self, **settings):
        return self._start("worker", settings)

    def count(self, where="true"):
        return int(self.sql.value(f"SELECT count(*) FROM jobs WHERE {where}"))

    def close(self):
        self.programs.close()
        self.sql.close()


@contextlib.contextmanager
def stage(bench, template="shop"):
    with bench.place(template) as (database, amqp):
        made = Stage(bench, database, amqp)
        try:
            yield made
        finally:
            made.close()


def prepare(bench):
    """Makes the database `shop`, from which each round has a copy: customers with a ready photo each, and the few
    products that the migrations make, printed very small: what is measured is no rendering."""
    if bench.customers:
        return bench.customers
    photo = picture(bench, 64, 48)
    bench.postgres.create("shop")
    amqp = bench.rabbitmq.create("shop")
    base = Stage(bench, "shop", amqp)
    try:
        base.command("migrate")
        base.sql.rows("UPDATE products SET short_mm = 10, long_mm = 15, dpi = 72,"
                      " stock = 1000000000, stocked = 1000000000")
        _, api = base.web()
        base.worker()
        customers = at_once(8, lambda _: _customer(api, photo), range(bench.scaled(CUSTOMERS, 16)))
        until("the photos", lambda: base.sql.value("SELECT count(*) FROM photos WHERE status <> 'ready'") == "0")
        until("their jobs", lambda: base.count("state <> 'succeeded'") == 0)
        ids = dict(base.sql.rows("SELECT token_hash, id FROM customers"))
        for customer in customers:
            customer["hash"] = hashlib.sha256(customer["token"].encode()).hexdigest()
            customer["id"] = ids[customer["hash"]]
    finally:
        base.close()
    tidy = Psql(bench.postgres.url("shop"))
    tidy.rows("VACUUM ANALYZE")
    tidy.close()
    bench.rabbitmq.drop("shop")
    bench.customers = customers
    return customers


def _customer(api, photo):
    token = api.ask("POST", "/api/tokens", expect=201)[0]["token"]
    accepted, _ = api.ask("POST", "/api/photos", token, photo, {"Content-Type": "image/jpeg"})
    return {"token": token, "photo": accepted["photo"]["id"], "job": accepted["job"]["id"]}


def picture(bench, width, height):
    """A JPEG, as bytes."""
    path = bench.folder / f"{width}x{height}.jpg"
    if not path.exists():
        run([bench.python, PEERS / "picture.py", width, height, path])
    return path.read_bytes()
