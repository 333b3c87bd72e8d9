"""The servers that scripts/servers started: PostgreSQL and RabbitMQ, and what can be asked of them."""

import base64
import glob
import json
import os
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

# The program's own role is `app`. What the benchmark itself asks is left out of the counts by this one.
LOOKER = "bench"


class Psql:
    """A session that stays open: a new one for each question would cost more than the question."""

    END = "end of the answer"

    def __init__(self, url):
        command = ["psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--field-separator=\t",
                   "--set=ON_ERROR_STOP=1", url]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)

    def rows(self, sql):
        """Each row a list of texts. The values must have no line breaks."""
        self.process.stdin.write(f"{sql.rstrip().rstrip(';')};\n\\echo {self.END}\n")
        self.process.stdin.flush()
        rows = []
        for line in self.process.stdout:
            if line.rstrip("\n") == self.END:
                return rows
            rows.append(line.rstrip("\n").split("\t"))
        raise RuntimeError(f"{self.process.stderr.read().strip()}\nin: {sql}")

    def value(self, sql):
        return self.rows(sql)[0][0]

    def number(self, sql):
        return float(self.value(sql))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Postgres:
    def __init__(self):
        self.ctl = os.environ["TEST_POSTGRES_CTL"]
        self.folder = Path(self.ctl).parent
        self.port = urllib.parse.urlsplit(os.environ["TEST_DATABASE_URL"]).port
        self.bin = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))[-1]
        os.environ["PATH"] = f"{self.bin}:{os.environ['PATH']}"
        self._set_up()
        self.looks = Psql(self.url("postgres", LOOKER))
        for durable in ("fsync", "synchronous_commit", "full_page_writes"):
            if self.looks.value(f"SHOW {durable}") != "on":
                raise SystemExit(f"error: {durable} is off: nothing that is measured here would mean anything")

    def url(self, database, role="app"):
        # Peers would take TLS if they could; ours does not.
        return f"postgres://{role}:pw@127.0.0.1:{self.port}/{database}?sslmode=disable"

    def _set_up(self):
        first = Psql(self.url("postgres"))
        first.rows(f"CREATE ROLE {LOOKER} SUPERUSER LOGIN PASSWORD 'pw'")
        # No checkpoint in the middle of a round: what is written after it costs several times as much.
        for setting in ("shared_preload_libraries = 'pg_stat_statements'", "shared_buffers = '1GB'",
                        "max_wal_size = '8GB'", "checkpoint_timeout = '1h'",
                        # Lines of JSON, for what is recorded of single requests.
                        "logging_collector = on", "log_destination = 'jsonlog'", "log_rotation_size = 0"):
            first.rows(f"ALTER SYSTEM SET {setting}")
        first.close()
        for verb in ("stop", "start"):
            subprocess.run([self.ctl, verb], check=True)
        again = Psql(self.url("postgres"))
        for extension in ("pg_stat_statements", "pg_walinspect"):
            again.rows(f"CREATE EXTENSION {extension}")
        # Of a BEGIN or COMMIT that is prepared it would see the first call alone.
        again.rows("ALTER SYSTEM SET pg_stat_statements.track_utility = off")
        again.rows("SELECT pg_reload_conf()")
        again.close()

    def pid(self):
        return int((self.folder / "data/postmaster.pid").read_text().split()[0])

    def create(self, database, template="template0"):
        self.looks.rows(f"CREATE DATABASE {database} OWNER app TEMPLATE {template}")

    def drop(self, database):
        self.looks.rows(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    def log_file(self):
        return max((self.folder / "data/log").glob("*.json"), key=lambda path: path.stat().st_mtime)

    def count_anew(self):
        """Begins to count statements; gives the mark for `counted`."""
        self.looks.rows("SELECT pg_stat_statements_reset()")
        return self.looks.value("SELECT pg_current_wal_insert_lsn()")

    def counted(self, mark):
        """Since then: statements (without BEGIN, COMMIT, SET), commits that wrote something, bytes of the log."""
        statements = self.looks.number(
            "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements"
            f" WHERE userid <> '{LOOKER}'::regrole AND query NOT LIKE '%pg_stat_statements%'")
        now = self.looks.value("SELECT pg_current_wal_flush_lsn()")
        size = self.looks.number(f"SELECT greatest(pg_wal_lsn_diff('{now}', '{mark}'), 0)")
        commits = 0.0
        if size:
            commits = self.looks.number(
                f"SELECT coalesce(sum(count), 0) FROM pg_get_wal_stats('{mark}', '{now}', true)"
                " WHERE \"resource_manager/record_type\" LIKE 'Transaction/COMMIT%'")
        return {"statements": statements, "commits": commits, "wal_bytes": size}


class RabbitMq:
    def __init__(self):
        self.folder = Path(os.environ["TEST_RABBITMQ_CTL"]).parent
        self.amqp = urllib.parse.urlsplit(os.environ["TEST_AMQP_URL"])
        api = urllib.parse.urlsplit(os.environ["TEST_RABBITMQ_API"])
        self.api = f"http://{api.hostname}:{api.port}/api"
        self.login = base64.b64encode(f"{api.username}:{api.password}".encode()).decode()

    def pid(self):
        return int((self.folder / "server.pid").read_text())

    def ask(self, method, path, body=None):
        headers = {"Authorization": f"Basic {self.login}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.api + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def create(self, name):
        """A part of the broker of its own; gives its address."""
        self.ask("PUT", f"/vhosts/{name}", {})
        self.ask("PUT", f"/permissions/{name}/{self.amqp.username}", {"configure": ".*", "write": ".*", "read": ".*"})
        return f"amqp://{self.amqp.username}:{self.amqp.password}@127.0.0.1:{self.amqp.port}/{name}"

    def drop(self, name):
        try:
            self.ask("DELETE", f"/vhosts/{name}")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise


def stop_spare_servers():
    """scripts/servers has more than are wanted here; they would only be in the way."""
    for ctl in ("TEST_FAULT_POSTGRES_CTL", "TEST_FAULT_RABBITMQ_CTL"):
        subprocess.run([os.environ[ctl], "stop"], check=True)
