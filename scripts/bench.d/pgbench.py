"""pgbench: what PostgreSQL does without any program of ours or of others."""

import re
import time

from programs import run


def pgbench(bench, database, script, clients, seconds, variables=None):
    """Warms up, then measures; every client must come through. A script finds numbers that no other run has from `:n`
    on."""
    def go(seconds):
        # Each run has less than one transaction of a client in a millisecond.
        values = {"n": int(time.time() * 1000)} | (variables or {})
        return run(["pgbench", "--no-vacuum", "--protocol", "prepared", "--client", clients, "--jobs", 1,
                    "--file", script, "--time", round(seconds),
                    *(f"--define={name}={value}" for name, value in values.items()), bench.postgres.url(database)])

    go(bench.scaled(2.0, 2))
    window = bench.measure()
    said = go(bench.scaled(seconds, 2))
    failed = re.search(r"number of failed transactions: (\d+)", said)
    if failed and int(failed[1]):
        raise RuntimeError(f"pgbench failed:\n{said}")
    done = int(re.search(r"number of transactions actually processed: (\d+)", said)[1])
    return window.end(done, done / float(re.search(r"tps = ([\d.]+) \(without", said)[1]))
