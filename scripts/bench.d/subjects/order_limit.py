"""What the database can do with an order at most: pgbench with the statements of one order of ours.

They are taken from PostgreSQL's log while web answers a POST, so that they are those of today. What belongs to one
order (ids, key) is replaced by something new each time, and the customer by one of many with numbers for ids."""

import json
import re
import time

from pgbench import pgbench
from proxy import Proxy
from shop import stage

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TRACE = re.compile(r"(?<=00-)[0-9a-f]{32}(?=-[0-9a-f]{16}-)")
PARAMETER = re.compile(r"\$(\d+) = (NULL|'(?:[^']|'')*')", re.DOTALL)
CUSTOMER, PHOTO = "10000000", "20000000"


def numbered(prefix, number):
    """A UUID of a number, in SQL, as text."""
    return f"CAST(CAST('{prefix}' || lpad(to_hex(CAST({number} AS bigint)), 24, '0') AS uuid) AS text)"


def record(bench, customers):
    """Gives the scripts, and how many statements and round trips an order is."""
    with stage(bench) as place, Proxy(bench.postgres.port) as proxy:
        place.sql.rows(f"ALTER ROLE app IN DATABASE {place.database} SET log_statement = 'all'")
        url = place.settings["DATABASE_URL"].replace(f":{bench.postgres.port}/", f":{proxy.port}/")
        _, api = place.web(DATABASE_URL=url)
        # The first ones prepare their statements.
        for customer in customers[:16]:
            api.order(customer)
        found = min((one_order(bench, api, proxy, customers[0]) for _ in range(5)), key=lambda order: order["trips"])
        types = dict(place.sql.rows("SELECT oid, format_type(oid, NULL) FROM pg_type"))
        convert = Converter(found, {text: [types.get(str(oid)) for oid in oids] for text, oids in proxy.types.items()})
        scripts = {}
        for kind in ("single", "piped"):
            scripts[kind] = bench.folder / f"order-{kind}.sql"
            scripts[kind].write_text(convert.script(kind == "piped"))
    return scripts | {"statements": len(found["messages"]), "trips": found["trips"], "customers": len(customers)}


def one_order(bench, api, proxy, customer):
    """What was asked for one order: (statement, {number: value}), the round trips, and what stands for what."""
    # What the one before leaves to do in the background.
    time.sleep(1)
    log = bench.postgres.log_file()
    start, before = log.stat().st_size, dict(proxy.trips)
    key = f"recorded-{time.time_ns()}"
    body = json.dumps({"email": f"{customer['id']}@example.org", "payment_token": "tok_ok", "lines": [
        {"photo_id": customer["photo"], "product": "print-10x15", "quantity": 1}]}).encode()
    answer, _ = api.ask("POST", "/api/orders", customer["token"], body,
                        {"Idempotency-Key": key, "Content-Type": "application/json"})
    time.sleep(0.5)
    marks = [customer["hash"], customer["id"], customer["photo"], key, answer["order"]["id"], answer["job"]["id"]]
    with open(log) as file:
        file.seek(start)
        lines = [json.loads(line) for line in file]
    kept = about(lines, marks)
    ports = {line["remote_port"] for line in kept}
    messages = []
    for line in kept:
        text = re.sub(r"^(?:statement|execute [^:]*): ", "", line["message"])
        values = {int(number): None if value == "NULL" else value[1:-1].replace("''", "'")
                  for number, value in PARAMETER.findall(line.get("detail", ""))}
        messages.append((text, values))
    return {"messages": messages, "trips": sum(proxy.trips[port] - before.get(port, 0) for port in ports),
            "customer": customer, "key": key}


def about(lines, marks):
    """The lines that are about the order, and those of transactions in which one is; the rest is the background."""
    kept, transaction = [], {}
    lines = [line for line in lines if re.match(r"(statement|execute [^:]*): ", line["message"])]
    for line in lines:
        text = line["message"] + line.get("detail", "")
        verb = line["message"].partition(": ")[2].split(maxsplit=1)[0].rstrip(";").upper()
        open_ = transaction.get(line["pid"])
        if verb == "BEGIN":
            open_ = transaction[line["pid"]] = {"lines": [], "ours": False}
        marked = any(mark in text for mark in marks)
        if open_ is None:
            if marked:
                kept.append(line)
            continue
        open_["lines"].append(line)
        open_["ours"] |= marked
        if verb in ("COMMIT", "ROLLBACK") and " TO " not in line["message"]:
            kept += open_["lines"] if open_["ours"] else []
            del transaction[line["pid"]]
    # As they came, not as their transactions ended.
    return sorted(kept, key=lines.index)


class Converter:
    def __init__(self, order, types):
        self.messages, self.types = order["messages"], types
        customer = order["customer"]
        # What is replaced by an expression.
        self.known = {
            customer["hash"]: "lpad(to_hex(CAST(:c AS bigint)), 64, '0')",
            customer["id"]: numbered(CUSTOMER, ":c"),
            customer["photo"]: numbered(PHOTO, ":c"),
            order["key"]: "('key-' || CAST(:k AS bigint))",
        }
        for _, values in self.messages:
            for value in filter(None, values.values()):
                for found in UUID.findall(value):
                    self.known.setdefault(found, numbered(f"3{len(self.known):07x}", ":k"))
                for found in TRACE.findall(value):
                    self.known.setdefault(found, "lpad(to_hex(CAST(:k AS bigint)), 32, '0')")
        self.split = re.compile("(" + "|".join(map(re.escape, self.known)) + ")")

    def value(self, value, kind):
        if value is None:
            return "NULL"
        parts = [self.known[part] if part in self.known else literal(part) for part in self.split.split(value) if part]
        text = " || ".join(parts) or "''"
        return f"CAST({text} AS {kind})" if kind else f"({text})"

    def statement(self, text, values):
        kinds = self.types.get(text, ())
        kind = lambda number: kinds[number - 1] if number <= len(kinds) else None  # noqa: E731
        whole = re.sub(r"\$(\d+)", lambda found: self.value(values[int(found[1])], kind(int(found[1]))), text)
        return f"{whole};\n"

    def script(self, piped):
        lines = ["\\set c random(1, :customers)\n", "\\set n :n + 1\n", "\\set k :n * 1000 + :client_id\n"]
        if piped:
            lines.append("\\startpipeline\n")
        for text, values in self.messages:
            # Several in one message, which are a round trip as well; with values there is never more than one.
            parts = [text] if values else [part.strip() for part in text.split(";") if part.strip()]
            together = len(parts) > 1 and not piped
            lines += ["\\startpipeline\n"] * together
            lines += [self.statement(part, values) for part in parts]
            lines += ["\\endpipeline\n"] * together
        if piped:
            lines.append("\\endpipeline\n")
        return "".join(lines)


def literal(text):
    """Without the colons, which are pgbench's."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''").replace(":", "\\x3a").replace("\n", "\\n") + "'"


def run(bench, script, clients):
    with stage(bench) as place:
        customers = len(bench.customers)
        for table, column, values in (
                ("customers", "id", {"id": CUSTOMER, "token_hash": None}),
                ("photos", "customer_id", {"id": PHOTO, "customer_id": CUSTOMER})):
            columns = ", ".join(f"'{name}', " + (numbered(prefix, "n") if prefix else "lpad(to_hex(n), 64, '0')")
                                for name, prefix in values.items())
            place.sql.rows(
                f"INSERT INTO {table} SELECT (jsonb_populate_record(t, jsonb_build_object({columns}))).*"
                f" FROM {table} t, generate_series(1, {customers}) n WHERE t.{column} = '{bench.customers[0]['id']}'")
        place.sql.rows("ANALYZE")
        before = int(place.sql.value("SELECT count(*) FROM orders"))
        result = pgbench(bench, place.database, script, clients, 6.0, {"customers": customers})
        made = int(place.sql.value("SELECT count(*) FROM orders")) - before
        if made < result["operations"]:
            raise RuntimeError(f"pgbench says {result['operations']} orders, and there are {made}")
        return result
