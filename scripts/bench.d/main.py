"""scripts/bench, on the servers of scripts/servers: runs the subjects, prints what came of them."""

import argparse
import importlib
import json
import os
import sys
import time
import traceback

import report
from bench import Bench, say
from machine import state

SUBJECTS = ("orders", "poll", "worker", "pipeline", "latency", "deep", "hot-row", "outage", "images")


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"of {', '.join(SUBJECTS)}; none is all of them")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of tables")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often each party has its turn (3)")
    given = parser.parse_args()
    unknown = set(given.subjects) - set(SUBJECTS)
    if unknown:
        parser.error(f"no such subject: {', '.join(sorted(unknown))}")
    if given.rounds < 1:
        parser.error("--rounds must be at least 1")
    return given


def main():
    given = arguments()
    if "TEST_POSTGRES_CTL" not in os.environ:
        # scripts/bench asks first whether the arguments are right, before it builds anything.
        return
    bench = Bench(given.rounds)
    document = {"scale": bench.scale, "rounds": given.rounds, "subjects": {}}
    failed = []
    for name in given.subjects or SUBJECTS:
        module = importlib.import_module(f"subjects.{name.replace('-', '_')}")
        say(f"{name}: {module.ABOUT.splitlines()[0]}")
        begun, before = time.monotonic(), state(bench.folder)
        try:
            found = report.complete(module.run(bench))
        except Exception as error:  # noqa: BLE001: the others are measured all the same, and the end is a failure
            say(f"{traceback.format_exc()}\n{name} FAILED: {error}")
            failed.append(name)
            document["subjects"][name] = {"failed": str(error)}
            continue
        found |= {"before": before, "after": state(bench.folder), "took_s": round(time.monotonic() - begun)}
        document["subjects"][name] = found
        if not given.json:
            print(report.table(name, found), flush=True)
    document["failed"] = failed
    if given.json:
        json.dump(document, sys.stdout, indent=1)
        print()
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
