"""Programs that run for a while: started with a log of their own, waited for, measured, stopped."""

import os
import re
import signal
import socket
import subprocess
import time

from machine import cpu_seconds

PATIENCE = 60

# By it scripts/servers finds and ends what is left, whatever becomes of us.
MARK = "SYSTEM_TEST_RUN"


def environment(settings=None):
    """A clean one, so that no setting of the caller's gets into a program."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", MARK) if key in os.environ}
    return kept | {key: str(value) for key, value in (settings or {}).items()}


class Program:
    """`ready` is a pattern in what it says; its group is the address, if there is one."""

    def __init__(self, name, command, folder, settings, ready=None, cwd=None):
        self.name = name
        # scripts/servers keeps files of such names when something went wrong.
        self.log = folder / f"log-{name}-{time.monotonic_ns()}"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command], env=environment(settings),
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=cwd or folder)
        self.said = self._await(ready) if ready else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def pid(self):
        return self.process.pid

    def cpu(self):
        return cpu_seconds([self.pid])

    def text(self):
        return self.log.read_text(errors="replace")

    def _await(self, pattern):
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.text())):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"{self.name} did not start:\n{self.text()[-3000:]}")
            time.sleep(0.02)
        return found[1] if found.groups() else found[0]

    def stop(self):
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def must_live(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended by itself:\n{self.text()[-3000:]}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(command, settings=None, cwd=None):
    """Runs a command to its end and gives what it printed; anything but success is an error."""
    done = subprocess.run([str(part) for part in command], text=True, capture_output=True, cwd=cwd,
                          env=environment(settings))
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout


def until(what, condition, seconds=600, pause=0.05):
    """Waits for a condition; gives what it gave."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {seconds} s in vain for {what}")
        time.sleep(pause)
    return found
