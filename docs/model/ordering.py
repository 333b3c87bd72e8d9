"""A line of jobs: of one ordering key, one at a time, in the order of their enqueuing. Only the head of a line is due (or parked, or has
begun); whoever leaves the line makes the next one due, and a sweep gives a head to a line that has none. Statement by statement."""
from engine import check
import statements
OVER = 'SC'
def model(n=3, next_row='skip', sweep=True, statement='next', cancel='own_first', enqueue='next', redrive='tail', idle='full', retention=None, flag='head', step=False, waits_on=None,
          fails=0, retries=0, cancels=0, waits=0, parks=0, awaits=0, dies=1, most=2, begun=False):
    """next_row (the next one's row, under the key's): skip (left out if locked) | wait. statement: who is next is asked in the next statement | same (in the one that ends the job).
    cancel: own_first (its row, then the key's) | key_first | no_key (its row alone). enqueue: whether somebody is in line is asked after the key's row is locked: next | before | never.
    redrive: tail (a new place) | front (its old one). idle (which head is made due): full (pending, due_at and parked null) | due (pending, due_at null).
    flag (cancel of one that has begun, and stands behind another since a redrive): head (due only if it is the head) | due. retention (of the key's row): locked (asked again under its lock) | exists (DELETE … NOT EXISTS).
    step: a run begins to wait for job 1, then enqueues the last one. awaits: a run begins to wait for 1 and 0. waits_on: when job 0 waits, it is for this one."""
    key = n
    rows0 = tuple([('-', 0, 0, 0, 0, 0)] * n) + (None,)
    # row: state, fence, place, in line, due, parked ; the key's row: the last place
    def line(v, but=None): return sorted((v.read(k)[2], k) for k in range(n) if k != but and v.read(k)[3])
    def is_idle(row): return row[0] == 'P' and not row[4] and not (idle == 'full' and row[5])
    def next_of(v, but=None):
        found = line(v, but)
        return found[0][1] if found and is_idle(v.read(found[0][1])) else None
    def pass_on(v, at):
        """at: the key's row; at + 1: who is next; at + 2: commit."""
        if v.at == at: v.lock(key); v.note = 'locks the key'; v.go(at + 1, *v.known)
        elif v.at == at + 1:
            k = next_of(v) if statement == 'next' or not v.known else v.known[0]
            if k is None: v.note = 'nobody is next'; v.go(at + 2)
            elif next_row == 'skip' and not v.skip_locked(k): v.note = f'{k} is next and locked: left out'; v.go(at + 2)
            else:
                row = v.lock(k)
                if is_idle(row): v.write(k, row[:4] + (1, row[5])); v.note = f'{k} is due'; v.go(at + 2)
                elif next_row == 'wait' and statement == 'next': v.note = f'{k} is not idle any more: asked again'; v.go(at + 1)
                else: v.note = f'{k} is not idle any more'; v.go(at + 2)
        else: v.note = 'commit'; v.commit()
    def joins(v, k, fence, place, behind): v.write(k, ('P', fence, place, 1, int(not behind), 0)); v.note = f'place {place}, ' + ('behind another' if behind else 'due')
    def takes_place(v, at, *known):
        last = (v.lock(key) or 0) + 1
        v.write(key, last); v.note = 'takes a place'; v.go(at, last, *known)
    def enqueues(v, k):
        if v.at == 0: v.note = 'begins'; v.go(1, bool(line(v)))
        elif v.at == 1: takes_place(v, 2, *v.known)
        elif v.at == 2: v.lock(k); joins(v, k, 0, v.known[0], {'next': bool(line(v)), 'before': v.known[1], 'never': False}[enqueue]); v.go(3)
        else: v.note = 'commit'; v.commit()
    def redrives(v, k):
        if v.at == 0:
            if v.lock(k)[0] != 'F': v.nothing(); return
            v.note = 'locks its row'; v.go(1)
        elif v.at == 1: takes_place(v, 2)
        elif v.at == 2: joins(v, k, v.read(k)[1], v.known[0] if redrive == 'tail' else v.read(k)[2], bool(line(v))); v.go(3)
        else: v.note = 'commit'; v.commit()
    def settle(v, argument):
        k, f, to = argument
        if v.at == 0: v.note = 'begins'; v.go(1, next_of(v, k))
        elif v.at == 1:
            st, fence, place, _, due, parked = v.lock(k)
            if (st, fence) != ('R', f): v.nothing(); return
            v.note = f'UPDATE -> {to}'
            if to in 'PW': v.write(k, (to, f, place, 1, int(to == 'P'), 0)); v.go(4)
            else: v.write(k, (to, f, place, 0, 0, 0)); v.go(2, *v.known)
        else: pass_on(v, 2)
    def cancels_(v, k):
        if v.at == 0:
            if cancel == 'key_first': v.lock(key)
            v.note = 'locks the key' if cancel == 'key_first' else 'begins'; v.go(1, next_of(v, k))
        elif v.at == 1:
            st, f, place, open_, due, parked = v.lock(k)
            if begun and st == 'P' and f: v.write(k, (st, f, place, open_, int(flag == 'due' or due or parked), 0)); v.note = 'UPDATE: to be undone'; v.go(4)
            elif st != 'P' or f: v.nothing()
            else: v.write(k, ('C', f, place, 0, 0, 0)); v.note = 'UPDATE -> cancelled'; v.go(4 if cancel == 'no_key' else 2, *v.known)
        else: pass_on(v, 2)
    def sweeps(v, _): pass_on(v, 0)
    def removes(v, _):
        stands = any(v.read(k)[3] or v.read(k)[0] == 'F' for k in range(n))
        if v.at == 0:
            if stands or v.read(key) is None: v.nothing('somebody stands there'); return
            v.note = 'nobody stands there'; v.go(1)
        elif v.at == 1:
            if retention == 'exists': v.lock(key); v.write(key, None); v.note = 'DELETE'; v.commit()
            elif v.skip_locked(key): v.note = 'locks the key'; v.go(2)
            else: v.nothing('locked')
        else:
            if not stands: v.write(key, None)
            v.note = 'DELETE where nobody stands'; v.commit()
    def waits_for_both(v, _):
        if v.at < 2: v.lock(1 - v.at); v.note = f'locks {1 - v.at}'; v.go(v.at + 1)
        else: v.note = 'commit'; v.commit()
    def waits_and_enqueues(v, k):
        if v.at == 0: v.lock(1); v.note = 'locks 1'; v.go(1, bool(line(v)))
        else: enqueues(v, k)
    programs = dict(enqueue=enqueues, redrive=redrives, settle=settle, cancel=cancels_, sweep=sweeps, retention=removes, begin_to_wait=waits_for_both, step=waits_and_enqueues)
    def broken(rows):
        if sum(bool(x[3] and (x[4] or x[5] or x[0] in 'RW')) for x in rows[:n]) > 1: return 'two heads of one line'
        for st, f, place, open_, due, parked in rows[:n]:
            if due and (parked or st == 'W'): return 'parked or waiting, and due'
    def succ(s):
        rows, txs, budget = s
        nf, nr, nc, nw, np, na, nd = budget
        def mk(rows=rows, txs=txs, budget=budget): return (rows, statements.order(txs), budget)
        def less(i): return tuple(x - (k == i) for k, x in enumerate(budget))
        def start(program, argument=None): return txs + (statements.begin(program, argument),)
        locked = {r for t in txs for r in t[4]}
        busy = {(t[0], t[1] if not isinstance(t[1], tuple) else t[1][0]) for t in txs}
        for k in range(n):
            st, f, place, open_, due, parked = rows[k]
            def row(x): return rows[:k] + (x,) + rows[k+1:]
            if k not in locked:
                if st == 'P' and due:
                    bad = next(('order broken: it begins before an unfinished one of an earlier place, or of its own' for i in range(n) if i != k and rows[i][3] and rows[i][2] <= place), None)
                    after = row(('R', f + 1, place, open_, 1, 0))
                    yield (f'{k} is claimed', 1, mk(after), bad or broken(after))
                    if np: yield (f'{k} is parked', 0, mk(row((st, f, place, open_, 0, 1)), budget=less(4)), None)
                if parked: yield (f'{k} is promoted', 1, mk(row((st, f, place, open_, 1, 0))), None)
                if st == 'W' and not (k == 0 and waits_on and rows[waits_on][0] not in OVER): yield (f'what {k} waits for is over', 1, mk(row(('P', f, place, open_, 1, 0))), None)
            if len(txs) >= most or ('enqueue', k) in busy or ('step', k) in busy: continue
            if st == '-' and all(rows[i][0] != '-' or ('enqueue', i) in busy for i in range(k)):
                if not (step and k == n - 1): yield (f'enqueue {k}', 1, mk(txs=start('enqueue', k)), None)
                elif rows[1][0] != '-': yield (f'a run waits for 1 and enqueues {k}', 1, mk(txs=start('step', k)), None)
            if st == 'R' and ('settle', k) not in busy:
                yield (f'the run of {k} ends', 1, mk(txs=start('settle', (k, f, 'S'))), None)
                if nf: yield (f'{k} fails', 0, mk(txs=start('settle', (k, f, 'F')), budget=less(0)), None)
                if nr: yield (f'retry or lapse of {k}', 0, mk(txs=start('settle', (k, f, 'P')), budget=less(1)), None)
                if nw: yield (f'{k} begins to wait', 0, mk(txs=start('settle', (k, f, 'W')), budget=less(3)), None)
            if st == 'F' and ('redrive', k) not in busy: yield (f'operator: redrive {k}', 1, mk(txs=start('redrive', k)), None)
            if st == 'P' and nc and (begun or not f) and ('cancel', k) not in busy: yield (f'client: cancel {k}', 0, mk(txs=start('cancel', k), budget=less(2)), None)
        if len(txs) < most:
            running = {t[0] for t in txs}
            if sweep and 'sweep' not in running and next_of(statements.Step(rows, (), statements.begin('sweep'))) is not None: yield ('the sweep finds no head', 1, mk(txs=start('sweep')), None)
            if retention and 'retention' not in running and rows[key]: yield ('retention', 0, mk(txs=start('retention')), None)
            if na and rows[1][0] != '-': yield ('a run begins to wait for 1 and 0', 0, mk(txs=start('begin_to_wait'), budget=less(5)), None)
        if nd:
            for t in set(txs):
                rest = list(txs); rest.remove(t); yield (f'the process dies in {statements.name(t)}', 0, mk(txs=rest, budget=less(6)), None)
        for label, after, rest, _, bad in statements.steps(programs, rows, txs):
            yield (label, 1, mk(after, rest), bad or (broken(after) if after != rows else None))
    goal = lambda s: not s[1] and all(s[0][k][0] in OVER for k in range(n))
    return (rows0, (), (fails, retries, cancels, waits, parks, awaits, dies)), succ, goal
def run(name, *fails, long=False, limit=1_000_000, **kw):
    i, f, g = model(**kw); check(name, i, f, None, g, fails, long, limit)
def runs():
    heads = 'two heads'
    run('whoever ends locks the key after its own row, then makes the next one due, unless its row is locked; a sweep: retry, wait', retries=1, waits=1)
    run('two cancels', cancels=2)
    run('a failure and a redrive to the tail, a cancel', fails=1, cancels=1, long=True)
    run('three transactions at once: a cancel, a run that begins to wait for two of the line', most=3, cancels=1, awaits=1, long=True)
    run('the head is parked or waits, and one behind it is cancelled', cancels=1, parks=1, waits=1, long=True)
    run('one that has begun stands behind another since its redrive, and is to be undone', n=2, fails=1, cancels=1, parks=1, begun=True)
    run('a run begins to wait for two of the line', awaits=1, cancels=1)
    run('a run begins to wait for one of the line, then enqueues another', step=True)
    run('retention of the key asks again under its lock', n=2, retention='locked', fails=1)
    run('the end in one statement: late, until the sweep comes', statement='same', cancels=1)
    run('a cancel that passes nothing on: late, until the sweep comes', cancel='no_key', cancels=2)
    run('the next one\'s row is waited for', 'DEADLOCK', next_row='wait', cancels=1)
    run('the same beside a run that begins to wait for two of the line', 'DEADLOCK', next_row='wait', awaits=1)
    run('the same beside a run that begins to wait for one, then enqueues', 'DEADLOCK', next_row='wait', step=True)
    run('a cancel locks the key first', 'DEADLOCK', cancel='key_first', cancels=1)
    run('no sweep of lines, a cancel that is rolled back', 'STUCK', sweep=False, cancels=1)
    run('no sweep of lines, a run that begins to wait', 'STUCK', sweep=False, awaits=1, dies=0)
    run('the end in one statement, no sweep', 'STUCK', statement='same', sweep=False, next_row='wait')
    run('a cancel that passes nothing on, no sweep', 'STUCK', cancel='no_key', cancels=1, sweep=False)
    run('whether somebody is in line is asked before the key is locked', heads, enqueue='before')
    run('it is not asked: only the index guards', heads, enqueue='never')
    run('the next one is made due if it has no due_at, parked or not', 'parked or waiting', idle='due', cancels=1, parks=1)
    run('one that is to be undone is due behind another', heads, n=2, fails=1, cancels=1, begun=True, flag='due')
    run('a redrive keeps its old place', 'order broken', heads, redrive='front', fails=1)
    run('retention of the key by NOT EXISTS alone', 'order broken', heads, retention='exists')
    run('a job waits for a later one of its own line', 'STUCK', waits=1, waits_on=1, n=2)
