"""What is asked at the same moment is one statement. A process ends two runs (jobs 0 and 1, fence 1) by a batch; what the batch does not
name is asked for alone. Somebody may hold a row for a while, or begin to wait for both; job 1 may lapse and run elsewhere (fence 2); the
row of job 0 may be one that the database refuses; an answer may be lost."""
from engine import check
import statements
def model(batch='skip', silence='alone', failed='alone', guard='fence', holds=0, awaits=0, lapses=0, refused=False, lost=0):
    """batch: skip (SKIP LOCKED) | wait (in the order of the ids). silence (what the answer does not name): alone | decided | batch (asked again so).
    failed (a batch that the database refuses): alone | batch. guard: fence | state."""
    def ours(row): return row[0] == 'R' and (guard == 'state' or row[1] == 1)
    def end(v, k):
        v.write(k, ('S', v.read(k)[1]))
        if v.read(k)[1] != 1: v.bad = 'it ends the run of another process'
    def together(v, ids):
        rest = v.known[0] if v.at else ids
        if batch == 'wait' and rest: v.lock(rest[0]); v.note = f'locks {rest[0]}'; v.go(1, rest[1:]); return
        locked = [k for k in ids if batch == 'wait' or v.skip_locked(k)] if v.at < 2 else ()
        named = v.known[1] if v.at == 2 else tuple(k for k in locked if ours(v.read(k)))
        if v.at == 2: v.note = 'commit'; v.commit(('named', ids, named))
        elif refused and 0 in named: v.writes = {}; v.note = 'refused, nothing is done'; v.commit(('refused', ids, ()))
        else:
            for k in named: end(v, k)
            v.note = f'ends {named}'; v.go(2, (), named)
    def alone(v, k):
        if ours(v.lock(k)):
            end(v, k)
            if refused and k == 0: v.write(k, ('F', 1))
        v.note = v.read(k)[0]; v.commit(('named', (k,), (k,)))
    def holds_(v, k):
        if v.at == 0: v.lock(k); v.note = f'locks {k}'; v.go(1)
        else: v.note = 'commit'; v.commit()
    def waits_for_both(v, _):
        if v.at < 2: v.lock(1 - v.at); v.note = f'locks {1 - v.at}'; v.go(v.at + 1)
        else: v.note = 'commit'; v.commit()
    programs = dict(batch=together, alone=alone, somebody=holds_, begin_to_wait=waits_for_both)
    # mine: b to be asked with others, a alone, u under way, d decided
    def succ(s):
        rows, txs, mine, budget = s
        nh, na, nl, nx = budget
        def mk(rows=rows, txs=txs, mine=mine, budget=budget): return (rows, statements.order(txs), mine, budget)
        def less(i): return tuple(x - (k == i) for k, x in enumerate(budget))
        def start(program, argument=None): return txs + (statements.begin(program, argument),)
        def now(word, ids): return tuple(word if k in ids else x for k, x in enumerate(mine))
        ids = tuple(k for k in (0, 1) if mine[k] == 'b')
        if ids and 'u' not in mine: yield (f'asked together: {ids}', 1, mk(txs=start('batch', ids), mine=now('u', ids)), None)
        for k in (0, 1):
            if mine[k] == 'a': yield (f'asked alone: {k}', 1, mk(txs=start('alone', k), mine=now('u', (k,))), None)
            if nh: yield (f'somebody locks {k}', 0, mk(txs=start('somebody', k), budget=less(0)), None)
        locked = {r for t in txs for r in t[4]}
        if na: yield ('a run begins to wait for both', 0, mk(txs=start('begin_to_wait'), budget=less(1)), None)
        if nl and rows[1] == ('R', 1) and 1 not in locked: yield ('1 lapses, and is claimed by another process: fence 2', 0, mk((rows[0], ('R', 2)), budget=less(2)), None)
        if rows[1] == ('R', 2) and 1 not in locked: yield ('the other process ends 1', 1, mk((rows[0], ('S', 2))), None)
        for label, after, rest, tell, bad in statements.steps(programs, rows, txs):
            then = mine
            if tell:
                word, asked, named = tell
                next_ = {'named': {'alone': 'a', 'decided': 'd', 'batch': 'b'}[silence], 'refused': {'alone': 'a', 'batch': 'b'}[failed]}[word]
                then = tuple('d' if k in named else next_ if k in asked else x for k, x in enumerate(mine))
                if nx: yield (label + ', no answer', 0, mk(after, rest, now('a', asked), less(3)), bad)
            elif bad and 'aborts batch' in label: then = tuple('a' if x == 'u' else x for x in mine)
            yield (label, 1, mk(after, rest, then), bad)
    return (((('R', 1),) * 2, (), ('b', 'b'), (holds, awaits, lapses, lost)), succ, lambda s: not s[1] and all(row[0] in 'SF' for row in s[0]) and set(s[2]) == {'d'})
def run(name, *fails, **kw):
    i, f, g = model(**kw); check(name, i, f, None, g, fails)
def runs():
    run('a batch skips what is locked, and what its answer does not name is asked for alone: a held row, a lapse, a lost answer', holds=1, lapses=1, lost=1)
    run('the same beside a run that begins to wait for both', holds=1, awaits=1)
    run('a batch that is refused: each alone', refused=True, holds=1, lost=1)
    run('what the answer does not name is taken as decided', 'STUCK', silence='decided', holds=1)
    run('what the answer does not name is asked for with others again', 'STUCK', silence='batch', lapses=1)
    run('a batch that is refused is asked again', 'STUCK', failed='batch', refused=True)
    run('a batch waits', 'DEADLOCK', batch='wait', awaits=1)
    run('a batch goes by the state', 'it ends the run of another process', guard='state', lapses=1)
