"""What all subjects share: the servers, the scale, the measuring of a piece of work, and rounds that alternate."""

import contextlib
import os
import shutil
import sys
import time
from pathlib import Path

from machine import cpu_seconds, is_in_memory
from servers import Postgres, RabbitMq, stop_spare_servers

HERE = Path(__file__).parent
PEERS = HERE / "peers"


def say(text):
    print(text, file=sys.stderr, flush=True)


class Bench:
    def __init__(self, rounds):
        self.rounds = rounds
        self.scale = float(os.environ.get("BENCH_SCALE", "1"))
        self.tools = Path(os.environ["BENCH_TOOLS"])
        self.python = self.tools / "venv/bin/python"
        stop_spare_servers()
        self.postgres = Postgres()
        self.rabbitmq = RabbitMq()
        # Beside the servers' own folders: removed with them.
        self.folder = self.postgres.folder.parent / "bench"
        self.folder.mkdir()
        if is_in_memory(self.folder):
            raise SystemExit(f"error: {self.folder} is in memory: there a commit costs nothing")
        # A build that goes on beside this must not change what is measured.
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        for program in ("web", "worker"):
            shutil.copy2(Path(os.environ["BENCH_BIN"]) / program, self.bin)
        self.places = 0
        # See `shop.prepare`.
        self.customers = None

    def scaled(self, number, least=1):
        """A number of things or seconds, for a whole run or for one that only tries whether all works."""
        if isinstance(number, float):
            return max(float(least), number * self.scale)
        return max(least, round(number * self.scale))

    @contextlib.contextmanager
    def place(self, template="template0"):
        """A database and a part of the broker that nobody used before, gone at the end."""
        self.places += 1
        name = f"place_{self.places}"
        self.postgres.create(name, template)
        amqp = self.rabbitmq.create(name)
        try:
            yield name, amqp
        finally:
            self.rabbitmq.drop(name)
            self.postgres.drop(name)

    def measure(self, **programs):
        return Window(self, programs)

    def alternate(self, parties):
        """Runs each party once a round, in another order each time: {name: [result of a round, …]}."""
        results = {name: [] for name in parties}
        names = list(parties)
        for number in range(self.rounds):
            turned = names[number % len(names):] + names[:number % len(names)]
            for name in turned:
                result = parties[name]()
                results[name].append(result)
                shown = ", ".join(f"{key} {value:.4g}" for key, value in result.items() if isinstance(value, float))
                say(f"  round {number + 1}: {name}: {shown}")
        return results


class Window:
    """What some work costs: CPU of each group of programs and of the servers, statements, commits.

    `programs` is {group: program or list of programs}."""

    def __init__(self, bench, programs):
        self.bench = bench
        self.groups = {}
        for group, members in programs.items():
            members = members if isinstance(members, list) else [members]
            self.groups[group] = [member if isinstance(member, int) else member.pid for member in members]
        self.groups["postgres"] = [bench.postgres.pid()]
        self.groups["rabbitmq"] = [bench.rabbitmq.pid()]
        self.mark = bench.postgres.count_anew()
        self.before = self._cpu()
        self.begun = time.perf_counter()

    def _cpu(self):
        return {group: cpu_seconds(roots) for group, roots in self.groups.items()}

    def end(self, operations, seconds=None):
        """Per operation; `seconds` is how long they took, if that was not the whole time."""
        seconds = seconds or time.perf_counter() - self.begun
        after = self._cpu()
        if operations < 1:
            raise RuntimeError("nothing was done")
        counted = self.bench.postgres.counted(self.mark)
        result = {"rate": operations / seconds, "operations": operations, "seconds": seconds}
        for group in self.groups:
            # Of 1,000 operations.
            result[f"cpu_{group}"] = (after[group] - self.before[group]) * 1000 / operations
        for name, number in counted.items():
            result[name] = number / operations
        return result
