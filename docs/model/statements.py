"""Transactions at READ COMMITTED over a few rows, for `share`, `ordering` and `together`. The committed rows are a tuple. A transaction is
a program that is called once a step: it reads by its snapshot, locks (it waits, or skips what is locked), sees the newest version of what
it has locked, writes, and goes on, commits or rolls back. Who waits in a circle is in a deadlock; the database aborts one of them."""


class Blocked(Exception):
    """Somebody else has the row."""

    def __init__(self, holder):
        self.holder = holder


class Step:
    """What a step sees and does. A transaction is (program, argument, place in it, what it remembers, its locks, its writes)."""

    def __init__(self, rows, txs, tx):
        self.rows, self.txs, self.tx = rows, txs, tx
        _, _, self.at, self.known, locks, writes = tx
        self.locks, self.writes = set(locks), dict(writes)
        self.end = self.tell = self.bad = None
        self.note = ''

    def read(self, row):
        """As committed, or as written here."""
        return self.writes.get(row, self.rows[row])

    def lock(self, row):
        """Waits for it, and reads it anew."""
        holder = next((t for t in self.txs if t is not self.tx and row in t[4]), None)
        if holder: raise Blocked(holder)
        self.locks.add(row)
        return self.read(row)

    def skip_locked(self, row):
        """Locks it, if nobody has it."""
        if any(t is not self.tx and row in t[4] for t in self.txs): return False
        self.locks.add(row)
        return True

    def write(self, row, value):
        assert row in self.locks
        self.writes[row] = value

    def go(self, at, *known): self.at, self.known = at, known
    def commit(self, tell=None): self.end, self.tell = 'commit', tell
    def nothing(self, note='0 rows'): self.note, self.end = note, 'commit'


def begin(program, argument=None): return (program, argument, 0, (), (), ())


def steps(programs, rows, txs):
    """Each step that is possible, and each deadlock, as (label, committed rows then, transactions then, what it tells, violation)."""
    blocked = {}
    for tx in txs:
        step, rest = Step(rows, txs, tx), list(txs)
        rest.remove(tx)
        try: programs[tx[0]](step, tx[1])
        except Blocked as error: blocked[tx] = error.holder; continue
        after = list(rows)
        if step.end:
            for row, value in step.writes.items(): after[row] = value
        else: rest.append((tx[0], tx[1], step.at, step.known, order(step.locks), order(step.writes.items())))
        yield (f'{name(tx)}: {step.note}' + (', commit' if step.end and step.note != 'commit' else ''), tuple(after), rest, step.tell, step.bad)
    for tx in blocked:
        circle = [t for t in blocked if waits_for_itself(t, blocked)]
        if tx in circle:
            rest = list(txs); rest.remove(tx)
            yield (f'the database aborts {name(tx)}', rows, rest, None, 'DEADLOCK between ' + ' and '.join(sorted(t[0] for t in circle)))


def order(values): return tuple(sorted(values, key=repr))
def name(tx): return tx[0] if tx[1] is None else f'{tx[0]} {tx[1]}'


def waits_for_itself(tx, blocked):
    seen, at = [], blocked.get(tx)
    while at is not None and at not in seen:
        if at == tx: return True
        seen.append(at); at = blocked.get(at)
    return False
