"""wrk, the load generator, with requests from a file."""

import json
import re
import secrets

from bench import HERE
from programs import run

# In a header's place: a text that no other request has.
NEW_KEY = "@KEY@"


def write(bench, requests):
    """`requests` are (method, path, token, headers, body). Gives the file for `load`."""
    path = bench.folder / f"requests-{secrets.token_hex(6)}"
    with open(path, "w") as file:
        for method, path_, token, headers, body in requests:
            pairs = {"Authorization": f"Bearer {token}"} | headers
            text = "\t".join([method, path_, *(f"{key}: {value}" for key, value in pairs.items()), "", body or ""])
            file.write(text + "\n")
    return path


def load(address, requests, connections, seconds):
    """Asks as fast as it is answered. Any answer above 399, and any that does not come, is an error."""
    said = run(["wrk", "--threads", 1, "--connections", connections, "--duration", f"{round(seconds)}s",
                "--timeout", "60s", "--script", HERE / "load.lua", f"http://{address}", "--",
                requests, secrets.token_hex(6)])
    result = json.loads(re.search(r"^RESULT (.*)$", said, re.MULTILINE)[1])
    faults = {name: number for name, number in result.pop("errors").items() if number}
    if faults:
        raise RuntimeError(f"the load on {address} met errors: {faults}")
    return result
