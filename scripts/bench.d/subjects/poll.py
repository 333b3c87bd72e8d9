"""GET /api/jobs/{id} of a finished job, 16 connections: 200, and 304 to whoever has it already.

Peers: FastAPI and Express, each with one statement that looks for the job and for the right to see it. The limit:
pgbench with one row by its key, prepared."""

import http.client

import wrk
from pgbench import pgbench
from rivals import rival
from shop import prepare, stage
from subjects.orders import load

CONNECTIONS = 16
ABOUT = __doc__
NOTES = ["a bare actix handler with tokio-postgres would be another limit; it needs a Rust build, and is left out"]


def run(bench):
    customers = prepare(bench)
    parties = {
        "ours": lambda: ours(bench, customers, 200),
        "FastAPI": lambda: peer(bench, customers, "fastapi", 200),
        "Express": lambda: peer(bench, customers, "express", 200),
        "ours, 304": lambda: ours(bench, customers, 304),
        "FastAPI, 304": lambda: peer(bench, customers, "fastapi", 304),
        "Express, 304": lambda: peer(bench, customers, "express", 304),
        "pgbench, one row by its key": lambda: limit(bench),
    }
    results = bench.alternate(parties)
    return {"main": "rate", "unit": "polls/s", "results": results, "notes": NOTES,
            "against": {"FastAPI, 304": "ours, 304", "Express, 304": "ours, 304"}}


def ours(bench, customers, status):
    with stage(bench) as place:
        web, api = place.web()
        return poll(bench, api.address, customers, status, web)


def peer(bench, customers, kind, status):
    with rival(bench) as place:
        place.fill(customers)
        web, address = getattr(place, kind)()
        return poll(bench, address, customers, status, web)


def poll(bench, address, customers, status, web):
    requests = []
    for customer in customers:
        headers = {}
        if status == 304:
            headers["If-None-Match"] = tag(address, customer, {}, 200)
        # Each is tried, because the load generator takes any status below 400 for a success.
        tag(address, customer, headers, status)
        requests.append(("GET", f"/api/jobs/{customer['job']}", customer["token"], headers, None))
    return load(bench, address, wrk.write(bench, requests), 4.0, CONNECTIONS, web=web)


def tag(address, customer, headers, expect):
    connection = http.client.HTTPConnection(address, timeout=60)
    connection.request("GET", f"/api/jobs/{customer['job']}",
                       headers={"Authorization": f"Bearer {customer['token']}"} | headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    if answer.status != expect:
        raise RuntimeError(f"a poll was answered {answer.status} instead of {expect}")
    return answer.headers["ETag"]


def limit(bench):
    with stage(bench) as place:
        script = bench.folder / "poll.sql"
        jobs = [job for job, in place.sql.rows("SELECT id FROM jobs")]
        # The rows get numbers: a variable of pgbench is one.
        place.sql.rows("CREATE TABLE numbered (n integer PRIMARY KEY, LIKE jobs)")
        place.sql.rows("INSERT INTO numbered SELECT row_number() OVER (), jobs.* FROM jobs")
        place.sql.rows("GRANT SELECT ON numbered TO app")
        place.sql.rows("ANALYZE numbered")
        script.write_text(f"\\set n random(1, {len(jobs)})\nSELECT * FROM numbered WHERE n = :n;\n")
        return pgbench(bench, place.database, script, CONNECTIONS, 4.0)
