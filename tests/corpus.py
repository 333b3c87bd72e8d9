#!/usr/bin/env python3
"""Runs a folder of image files through a real upload, one after the other, and compares with what is expected.

usage: tests/corpus.py FOLDER [URL]

FOLDER holds the files and a MANIFEST.tsv with the columns `file` and `expected` (accept, reject or either);
other columns are ignored. URL is a running print
shop (default http://127.0.0.1:8080), started with RATE_LIMIT=off. The exit status is 0 if nothing crashed or
got stuck, all of `reject` was refused or discarded, and at least 97 % of `accept` was done.
"""
import collections
import csv
import json
import pathlib
import sys
import time
import urllib.error
import urllib.request

PATIENCE = 120  # seconds for one file
FINAL = {"succeeded", "failed", "cancelled"}


class Shop:
    def __init__(self, url):
        self.url = url.rstrip("/")
        _, answer, _ = self.call("POST", "/api/tokens")
        self.token = json.loads(answer)["token"]

    def call(self, method, path, body=None, headers=None):
        headers = dict(headers or {})
        if hasattr(self, "token"):
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers
        except (urllib.error.URLError, OSError) as error:
            return 0, str(error).encode(), {}

    def outcome(self, file):
        """('done' | 'refused' | 'discarded' | 'crash' | 'stuck', reason)"""
        status, answer, headers = self.call("POST", "/api/photos", file.read_bytes(), {"Content-Type": "image/png"})
        if status == 0 or status >= 500:
            return "crash", f"{status} {answer[:200]!r}"
        if status != 202:
            return "refused", f"{status} {json.loads(answer).get('detail', '')}"
        job, deadline = headers["Location"], time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            status, answer, _ = self.call("GET", job, headers={"Prefer": "wait=20"})
            if status != 200:
                return "crash", f"{status} for the job"
            job_state = json.loads(answer)
            if job_state["status"] in FINAL:
                break
        else:
            return "stuck", job_state["status"]
        if job_state["status"] == "succeeded":
            return "done", ""
        if job_state["failure"] == "discarded":
            return "discarded", job_state["error"]["detail"]
        return "crash", f"job {job_state['status']} {job_state['failure']}"


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    shop = Shop(sys.argv[2] if len(sys.argv) == 3 else "http://127.0.0.1:8080")
    with open(folder / "MANIFEST.tsv", newline="", encoding="utf-8") as manifest:
        rows = list(csv.DictReader(manifest, delimiter="\t", quoting=csv.QUOTE_NONE))
    counts = collections.Counter()
    for row in rows:
        file = folder / row["file"]
        if row["expected"] not in ("accept", "reject", "either") or not file.is_file():
            continue
        outcome, reason = shop.outcome(file)
        counts[row["expected"], outcome] += 1
        expected_done = {"accept": True, "reject": False, "either": None}[row["expected"]]
        surprising = outcome in ("crash", "stuck") or (
            expected_done is not None and expected_done != (outcome == "done")
        )
        if surprising:
            print(f"{row['file']}: expected {row['expected']}, {outcome}: {reason}", flush=True)
    print("\nexpected  outcome    files")
    for (expected, outcome), count in sorted(counts.items()):
        print(f"{expected:<9} {outcome:<10} {count}")
    accepted = counts["accept", "done"]
    wanted = sum(count for (expected, _), count in counts.items() if expected == "accept")
    broken = sum(count for (_, outcome), count in counts.items() if outcome in ("crash", "stuck"))
    wrongly_done = counts["reject", "done"]
    share = 100 * accepted / wanted if wanted else 100
    print(f"\n{accepted} of {wanted} to accept were done ({share:.1f} %); {wrongly_done} to reject were done; {broken} broke")
    sys.exit(0 if share >= 97 and not wrongly_done and not broken else 1)


if __name__ == "__main__":
    main()
