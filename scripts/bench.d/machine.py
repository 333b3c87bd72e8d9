"""What processes cost, by /proc, and how the machine is: its load, and how long its disk takes to keep something."""

import os
import statistics
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def _stat(pid):
    """Parent, and user and system time with that of the children that ended, in ticks; None if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name before the last parenthesis may have spaces in it.
    fields = text.rpartition(")")[2].split()
    return int(fields[1]), sum(int(field) for field in fields[11:15])


def cpu_seconds(roots):
    """Of these processes and all that descend from them. Who ended counts as soon as its parent has reaped it."""
    children, ticks = {}, {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (found := _stat(entry)):
            children.setdefault(found[0], []).append(int(entry))
            ticks[int(entry)] = found[1]
    total, queue = 0, list(roots)
    while queue:
        pid = queue.pop()
        total += ticks.get(pid, 0)
        queue += children.get(pid, [])
    return total / TICKS


def flush_ms(folder, count=50):
    """How long an fdatasync of a block takes there: median and the slowest but one in a hundred."""
    times = []
    path = Path(folder) / "flush"
    with open(path, "wb") as file:
        for _ in range(count):
            file.write(b"x" * 8192)
            file.flush()
            begun = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - begun) * 1000)
    path.unlink()
    return {"median": round(statistics.median(times), 2), "p99": round(percentile(times, 99), 2)}


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def state(folder):
    return {"load": [round(load, 2) for load in os.getloadavg()], "fdatasync_ms": flush_ms(folder)}


def is_in_memory(folder):
    """Whether the folder is on a file system for which keeping something costs nothing."""
    best = ("", "")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, point, kind, *_ = line.split()
        if Path(folder).is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, kind)
    return best[1] in ("tmpfs", "ramfs")
