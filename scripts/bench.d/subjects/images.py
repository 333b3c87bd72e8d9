"""One JPEG of 12 million pixels: CPU of the worker and its child from the upload to the three sizes.

The peer: sharp, with one decode for the same three sizes and each file flushed, in a process that lives on."""

import subprocess
import time

from bench import PEERS
from machine import cpu_seconds
from programs import environment, until
from shop import picture, prepare, stage

PICTURES = 10
ABOUT = __doc__
NOTES = ["the upload itself is web's and not in it; sharp reads a file"]


def run(bench):
    prepare(bench)
    count = bench.scaled(PICTURES, 2)
    photo = picture(bench, 4000, 3000)
    parties = {
        "ours": lambda: ours(bench, photo, count),
        "sharp": lambda: sharp(bench, count),
    }
    notes = [*NOTES, f"the picture has {len(photo) / 1e6:.1f} MB; CPU ms of one, of {count} after each other"]
    return {"main": "cpu_ms", "unit": "CPU ms", "results": bench.alternate(parties), "notes": notes}


def ours(bench, photo, count):
    with stage(bench) as place:
        _, api = place.web()
        worker = place.worker()
        token = api.ask("POST", "/api/tokens", expect=201)[0]["token"]

        def one():
            accepted, _ = api.ask("POST", "/api/photos", token, photo, {"Content-Type": "image/jpeg"})
            job = f"/api/jobs/{accepted['job']['id']}"
            done, _ = api.ask("GET", job, token, headers={"Prefer": "wait=30"}, expect=200)
            until("the sizes", lambda: api.ask("GET", job, token, expect=200)[0]["status"] == "succeeded", pause=0.1)

        # The first starts the child.
        for _ in range(2):
            one()
        before, begun = worker.cpu(), time.perf_counter()
        for _ in range(count):
            one()
        return {"cpu_ms": (worker.cpu() - before) * 1000 / count,
                "mean_ms": (time.perf_counter() - begun) * 1000 / count}


def sharp(bench, count):
    path = bench.folder / "4000x3000.jpg"
    process = subprocess.Popen(["node", PEERS / "sharp.js"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               env=environment({"NODE_PATH": bench.tools / "node/node_modules"}))
    try:
        def hear(word):
            if process.stdout.readline().strip() != word:
                raise RuntimeError("sharp ended by itself")

        def one():
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
            hear("done")

        hear("ready")
        for _ in range(2):
            one()
        before, begun = cpu_seconds([process.pid]), time.perf_counter()
        for _ in range(count):
            one()
        return {"cpu_ms": (cpu_seconds([process.pid]) - before) * 1000 / count,
                "mean_ms": (time.perf_counter() - begun) * 1000 / count}
    finally:
        process.kill()
        process.wait()
