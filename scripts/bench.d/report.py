"""From rounds to medians, ranges and ratios, and to a table."""

import statistics

# What is shown of a result, in this order: its name, its heading, how it is written.
COLUMNS = (
    ("rate", "per second", "{:,.0f}"),
    ("p50_ms", "p50 ms", "{:.1f}"), ("p95_ms", "p95 ms", "{:.1f}"), ("p99_ms", "p99 ms", "{:.1f}"),
    ("cpu_ms", "CPU ms", "{:.1f}"), ("mean_ms", "mean ms", "{:.1f}"),
    ("cpu_web", "web", "{:.2f}"), ("cpu_worker", "worker", "{:.2f}"), ("cpu_postgres", "PostgreSQL", "{:.2f}"),
    ("cpu_rabbitmq", "RabbitMQ", "{:.2f}"), ("cpu_redis", "Redis", "{:.2f}"),
    ("statements", "statements", "{:.1f}"), ("commits", "commits", "{:.2f}"), ("wal_bytes", "WAL B", "{:,.0f}"),
)


def summary(values):
    values = [float(f"{value:.6g}") for value in values]
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "rounds": values}


def complete(found):
    """Adds medians of all figures, and how ours stands to each other party, round by round."""
    results, main = found["results"], found["main"]
    against = found.pop("against", {})
    ours = next(iter(results))
    parties = {}
    for name, rounds in results.items():
        figures = {key: summary([one[key] for one in rounds]) for key in rounds[0]}
        party = {"figures": figures}
        base = against.get(name, ours)
        if not name.startswith("ours"):
            ratios = [mine[main] / other[main] for mine, other in zip(results[base], rounds)]
            party["ours_divided_by_it"] = summary(ratios) | {"of": base}
        elif name != ours:
            party["to_the_first"] = summary([one[main] / first[main] for one, first in zip(rounds, results[ours])])
        parties[name] = party
    found["parties"] = parties
    del found["results"]
    return found


def table(name, found):
    main, parties = found["main"], found["parties"]
    shown = [column for column in COLUMNS
             if column[0] == main or any(column[0] in party["figures"] for party in parties.values())]
    # What the subject is about comes first, with its range and the ratio.
    (_, _, form), *others = sorted(shown, key=lambda column: column[0] != main)
    rows = [["", found["unit"], "range", "ours ÷ it", *(heading for _, heading, _ in others)]]
    for who, party in parties.items():
        figures = party["figures"]
        best = figures[main]
        row = [who, form.format(best["median"]), f"{form.format(best['min'])}–{form.format(best['max'])}", ratio(party)]
        rows.append(row + [shape.format(figures[key]["median"]) if key in figures else "–" for key, _, shape in others])
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = [f"\n== {name}, {len(best['rounds'])} rounds, {found['took_s']} s"]
    for first, *row in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row, widths[1:]))]
        lines.append("  ".join(cells).rstrip())
    lines += [f"* {note}" for note in found.get("notes", [])]
    if any("cpu_postgres" in party["figures"] for party in parties.values()):
        lines.append("* web … RabbitMQ: CPU seconds per 1,000; of one: statements (no BEGIN, COMMIT, SET), commits that"
                     " wrote something, bytes of WAL")
    before, after = found["before"], found["after"]
    lines.append(f"* load {before['load'][0]} → {after['load'][0]}, fdatasync {flush(before)} → {flush(after)}")
    return "\n".join(lines)


def ratio(party):
    if "ours_divided_by_it" in party:
        one = party["ours_divided_by_it"]
        return f"{one['median']:.2f} ({one['min']:.2f}–{one['max']:.2f})"
    if "to_the_first" in party:
        one = party["to_the_first"]
        return f"[× {one['median']:.2f} ({one['min']:.2f}–{one['max']:.2f})]"
    return ""


def flush(state):
    times = state["fdatasync_ms"]
    return f"{times['median']} ms (p99 {times['p99']})"
