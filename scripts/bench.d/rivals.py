"""The peers' programs on a place of their own, with the same customers as ours."""

import contextlib
import re
import sys

from bench import PEERS
from programs import Program, free_port, run
from servers import Psql
from shop import picture

sys.path.insert(0, str(PEERS))
from tables import SCHEMA  # noqa: E402


class Rival:
    def __init__(self, bench, database, amqp):
        self.bench, self.database, self.amqp = bench, database, amqp
        self.url = bench.postgres.url(database)
        self.sql = Psql(bench.postgres.url(database, "bench"))
        self.programs = contextlib.ExitStack()
        self.files = bench.folder / f"files-{database}"
        for folder in ("prints", "mail"):
            (self.files / folder).mkdir(parents=True)
        self.settings = {
            "DATABASE_URL": self.url,
            # In Celery's broker address the virtual host follows the slash, as in ours.
            "AMQP_URL": amqp,
            "FOLDER": self.files,
            "PYTHONPATH": PEERS,
            # Nothing of the peers is written into the project's folder.
            "PYTHONDONTWRITEBYTECODE": 1,
        }

    def fill(self, customers, products=("print-10x15",)):
        """The tables, the customers with a ready photo each, and a finished job to be asked for."""
        (self.files / "original.jpg").write_bytes(picture(self.bench, 64, 48))
        own = Psql(self.url)
        own.rows(SCHEMA)
        people = ", ".join(f"('{one['id']}'::uuid, '{one['hash']}', '{one['photo']}'::uuid, '{one['job']}'::uuid)"
                           for one in customers)
        own.rows(f"CREATE TEMPORARY TABLE people AS SELECT * FROM (VALUES {people}) AS p (id, hash, photo, job)")
        own.rows("INSERT INTO customers (id, token_hash) SELECT id, hash FROM people")
        own.rows("INSERT INTO photos SELECT photo, id, 'ready' FROM people")
        own.rows("INSERT INTO jobs (id, kind, owner, args, state, progress, result) SELECT job, 'make_thumbnails', id,"
                 " jsonb_build_object('photo_id', photo), 'succeeded', '{\"percent\": 100, \"message\": \"done\"}',"
                 " jsonb_build_object('photo_id', photo) FROM people")
        for product in products:
            own.rows(f"INSERT INTO products VALUES ('{product}', 'Print {product}', 29, 1000000000)")
        own.rows("VACUUM ANALYZE")
        own.close()

    def _start(self, name, command, settings, ready):
        program = Program(name, command, self.files, self.settings | settings, ready)
        return self.programs.enter_context(program)

    def fastapi(self, **settings):
        port = free_port()
        command = [self.bench.python, "-m", "uvicorn", "shop_api:app", "--host", "127.0.0.1", "--port", port,
                   "--workers", 1, "--no-access-log"]
        return self._start("fastapi", command, settings, "Uvicorn running on"), f"127.0.0.1:{port}"

    def express(self):
        port = free_port()
        settings = {"PORT": port, "NODE_PATH": self.bench.tools / "node/node_modules", "NODE_ENV": "production"}
        return self._start("express", ["node", PEERS / "express.js"], settings, "ready"), f"127.0.0.1:{port}"

    def celery(self, processes=2, name="celery", **settings):
        command = [self.bench.python, "-m", "celery", "--app", "tasks", "worker", "--concurrency", processes,
                   "--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat",
                   "--hostname", f"{name}@%h", "--pidfile", ""]
        return self._start(name, command, settings, "ready to work")

    def must_have_done(self, worker, count):
        """Ends a worker, and holds it to have done so many tasks of the kind that does nothing."""
        worker.stop()
        done = sum(int(number) for number in re.findall(r"did (\d+) at the end", worker.text()))
        if done != count:
            raise RuntimeError(f"Celery did {done} tasks instead of {count}:\n{worker.text()[-2000:]}")

    def task(self, *arguments, **settings):
        return run([self.bench.python, PEERS / "tasks.py", *arguments], self.settings | settings, self.files)

    def watch(self, **settings):
        """A program that says when there is no message left, and ends."""
        return self._start("watch", [self.bench.python, PEERS / "tasks.py", "drained"], settings, "watching")

    def results_url(self):
        """Where Celery keeps what came of its tasks."""
        return "db+" + self.url.replace("postgres://", "postgresql+psycopg://")

    def close(self):
        self.programs.close()
        self.sql.close()


@contextlib.contextmanager
def rival(bench):
    with bench.place() as (database, amqp):
        made = Rival(bench, database, amqp)
        try:
            yield made
        finally:
            made.close()
