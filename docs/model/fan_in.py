"""Fan-in at READ COMMITTED, statement by statement, with row locks (S, X). Jobs are indices; the lower id is the older. Committed
rows, and the uncommitted writes of each transaction. Whoever begins to wait says in the awaited rows, under their locks, that they
are awaited (it is never taken back); a run of whom that is not said may end in one statement that looks for no waiters."""
from engine import check
FIN = 'SC'
NEWEST = lambda x: sorted(x, reverse=True)
def model(n=3, waits={0: (1, 2)}, init_st='RRN', cancel=None, snap12=False, snap23=False, noshare=False,
          cancel_child_wakes=True, retry=True, share_order=NEWEST, wait_lock='X', cancel_flag_seen=False, own_first=(), waiter_order=NEWEST, alone=None):
    """alone: how a run that nobody awaits ends: None (as all others) | locked (one statement, AND NOT awaited, asked of the row that it has locked)
    | seen (of its snapshot) | after (whoever was awaited is said by its answer, and woken in another transaction). wait_lock S: FOR SHARE, then an UPDATE."""
    # st: R running, N never run (pending), W waiting, P woken pending, S succeeded, C cancelled
    waiters = {j: tuple(waiter_order(w for w in waits if j in waits[w])) for j in range(n)}
    # tx: (kind, job, pc, writes(tuple (job,st)), locks(tuple (job,mode)), extra)
    init = (tuple(init_st), frozenset(), (), 0, 0)   # rows, waits rows present for waiter, txs, flagged, cancelrequested
    def succ(s):
        rows, wrows, txs, flag, casked = s
        def mk(rows=rows, wrows=wrows, txs=txs, flag=flag, casked=casked):
            return (rows, wrows, tuple(sorted(txs)), flag, casked)
        def held(j, but, mode):
            return [t for t in txs if t is not but and any(lj == j and (mode == 'X' or m == 'X') for lj, m in t[4])]
        def vis(t, j, r=rows):
            for wj, st in t[3]:
                if wj == j: return st
            return r[j]
        def lk(t, j, m):
            L = dict(t[4]); L[j] = 'X' if m == 'X' or L.get(j) == 'X' else 'S'; return tuple(sorted(L.items()))
        def wr(t, j, st):
            W = dict(t[3]); W[j] = st; return tuple(sorted(W.items()))
        active = {(t[0], t[1]) for t in txs}
        def rep(t, t2):
            return tuple(x for x in txs if x is not t) + ((t2,) if t2 else ())
        def commit(t, extra_w=()):
            r = list(rows)
            for j, st in t[3]: r[j] = st
            return tuple(r)
        # ---- start transactions
        for j in range(n):
            if rows[j] == 'R' and not any(t[1] == j and t[0] in ('fin', 'wait') for t in txs):
                if j in waits and j not in wrows:
                    yield (f'J{j}: begin start-wait on {waits[j]}', 1, mk(txs=txs + (('wait', j, 0, (), (), ()),)), None)
                else:
                    yield (f'J{j}: begin finish', 1, mk(txs=txs + (('fin', j, 0, (), (), ()),)), None)
            if rows[j] == 'N' and not held(j, None, 'X'):
                r = list(rows); r[j] = 'R'; yield (f'J{j}: claimed', 1, mk(rows=tuple(r)), None)
            if rows[j] == 'P' and not held(j, None, 'X'):
                early = [k for k in waits.get(j, ()) if rows[k] not in FIN]
                v = 'parent runs before all it waits for are final' if early and not flag else None
                r = list(rows); r[j] = 'R'; yield (f'J{j}: woken, claimed', 1, mk(rows=tuple(r)), v)
        if cancel and not casked:
            yield ('client: cancel J0', 0, mk(txs=txs + (('can', 0, 0, (), (), ()),), casked=1), None)
        # ---- steps
        blocked = {}
        for t in txs:
            kind, j, pc, W, L, ex = t
            def need(job, mode, label):
                h = held(job, t, mode)
                if h: blocked[t] = h; return False
                return True
            out = []
            def finish_tail(t, seq, pc0, ex):
                """waiters of job seq: lock in id order (fresh snapshot), count, wake."""
            awaited = any(w in wrows for w in waiters[j])
            if kind == 'fin':
                if pc == 0 and alone and ex != ('awaited',):
                    if not ex: out.append((f'fin J{j}: one statement starts' + (', awaited' if awaited else ''), rep(t, (kind, j, 0, W, L, ('alone', awaited))), None))
                    elif need(j, 'X', ''):
                        if rows[j] != 'R': out.append((f'fin J{j}: 0 rows, LostLease', rep(t, None), None))
                        elif alone == 'after': out.append((f'fin J{j}: UPDATE own row -> final, commit', None, ('commit then wake' if awaited else 'commit', (kind, j, 4, wr(t, j, 'S'), L, ()))))
                        elif (ex[1] if alone == 'seen' else awaited): out.append((f'fin J{j}: 0 rows, awaited: in a transaction', rep(t, (kind, j, 0, W, L, ('awaited',))), None))
                        else: out.append((f'fin J{j}: UPDATE own row -> final, nobody is looked for, commit', None, ('commit', (kind, j, 4, wr(t, j, 'S'), L, ()))))
                elif pc == 0:
                    if snap12 and not ex:   # mutation: one statement = snapshot taken before the lock is waited for
                        out.append((f'fin J{j}: statement starts (snapshot)', rep(t, (kind, j, 0, W, L, ('snap', tuple(w for w in waiters[j] if w in wrows and rows[w] == 'W')))), None))
                    elif need(j, 'X', ''):
                        if rows[j] != 'R': out.append((f'fin J{j}: 0 rows, LostLease', rep(t, None), None))
                        else:
                            todo = ex[1] if snap12 else None
                            out.append((f'fin J{j}: UPDATE own row -> final', rep(t, (kind, j, 1, wr(t, j, 'S'), lk(t, j, 'X'), ('todo', todo))), None))
                elif pc == 1:   # find waiters: new snapshot
                    todo = ex[1] if ex and ex[1] is not None else tuple(w for w in waiters[j] if w in wrows and rows[w] == 'W')
                    snap = rows if snap23 else None
                    out.append((f'fin J{j}: SELECT waiters -> {todo}', rep(t, (kind, j, 2, W, L, (todo, (), snap))), None))
                elif pc == 2:
                    todo, got, snap = ex
                    if todo:
                        if need(todo[0], 'X', ''):
                            g = got + ((todo[0],) if rows[todo[0]] == 'W' else ())
                            out.append((f'fin J{j}: lock waiter J{todo[0]}', rep(t, (kind, j, 2, W, lk(t, todo[0], 'X'), (todo[1:], g, snap))), None))
                    else: out.append((f'fin J{j}: count', rep(t, None) if False else rep(t, (kind, j, 3,
                          tuple(sorted(dict(W, ) .items())) if False else W, L,
                          tuple(w for w in got if all(vis(t, k, snap or rows) in FIN for k in waits[w])))), None))
                elif pc == 3:
                    W2 = W
                    for w in ex: W2 = tuple(sorted({**dict(W2), w: 'P'}.items()))
                    t2 = (kind, j, 4, W2, L, ())
                    out.append((f'fin J{j}: commit, wake {ex}', None, ('commit', t2)))
            elif kind == 'wait':
                seq = tuple(share_order(waits[j]))
                if j in own_first and pc == 0 and not ex:
                    if need(j, 'X', ''): out.append((f'wait J{j}: locks own row first', rep(t, (kind, j, 0, W, lk(t, j, 'X'), ('own',))), None))
                elif pc < len(seq) or wait_lock == 'S' and len(seq) <= pc < 2 * len(seq):
                    k = seq[pc % len(seq)]
                    if pc >= len(seq):
                        if need(k, 'X', ''): out.append((f'wait J{j}: UPDATE J{k}: awaited', rep(t, (kind, j, pc + 1, W, lk(t, k, 'X'), ex)), None))
                    elif noshare: out.append((f'wait J{j}: reads J{k}={rows[k]}', rep(t, (kind, j, pc + 1, W, L, ex + (rows[k],))), None))
                    elif need(k, wait_lock, ''):
                        out.append((f'wait J{j}: locks J{k}' + (' FOR SHARE' if wait_lock == 'S' else ', says that it is awaited') + f', reads {rows[k]}', rep(t, (kind, j, pc + 1, W, lk(t, k, wait_lock), ex + (rows[k],))), None))
                elif need(j, 'X', ''):
                    if rows[j] != 'R': out.append((f'wait J{j}: 0 rows, LostLease', rep(t, None), None))
                    else:
                        left = any(x not in FIN for x in ex if x != 'own')
                        if cancel_flag_seen and flag and j == 0: left = False
                        t2 = (kind, j, 9, wr(t, j, 'W' if left else 'P'), L, ())
                        out.append((f'wait J{j}: UPDATE own -> {"waiting" if left else "pending"}, INSERT job_waits, commit', None, ('commitw', t2)))
            elif kind == 'can':
                kids = waits[0]
                plan = [('P', 0)] + [('K', k) for k in kids] if cancel == 'parent_first' else \
                       [('K', k) for k in kids] + [('P', 0)] if cancel == 'children_first' else [('P', 0)]
                if pc < len(plan):
                    what, k = plan[pc]
                    if need(k, 'X', ''):
                        W2 = W; note = 'flag'
                        if what == 'P':
                            if rows[k] == 'W': W2 = wr(t, k, 'P'); note = 'flag, due now'
                        elif rows[k] == 'N': W2 = wr(t, k, 'C'); note = 'ends at once'
                        out.append((f'cancel: lock J{k} ({note})', rep(t, (kind, j, pc + 1, W2, lk(t, k, 'X'), ex)), None))
                else: out.append(('cancel: commit', None, ('commitc', (kind, j, pc, W, L, ex))))
            elif kind == 'kid':   # cancel of a never-run job in its own transaction (= finish when it wakes its waiters)
                if pc == 0:
                    if need(j, 'X', ''):
                        if rows[j] != 'N': out.append((f'cancel J{j}: flag only', rep(t, None), None))
                        elif cancel_child_wakes:
                            out.append((f'cancel J{j}: ends at once', rep(t, ('fin', j, 1, wr(t, j, 'C'), lk(t, j, 'X'), ('todo', None))), None))
                        else:
                            r = list(rows); r[j] = 'C'
                            out.append((f'cancel J{j}: ends at once, waiters not looked at', ('ROWS', tuple(r), rep(t, None)), None))
            for label, txs2, c in out:
                if isinstance(txs2, tuple) and txs2 and txs2[0] == 'ROWS':
                    yield (label, 1, mk(rows=txs2[1], txs=txs2[2]), None)
                elif c is None: yield (label, 1, mk(txs=txs2), None)
                else:
                    r = commit(c[1]); w2 = wrows | {j} if c[0] == 'commitw' else wrows
                    tx2 = rep(t, None); f2 = flag
                    if c[0] == 'commit then wake':
                        yield (label + '; the process dies', 0, mk(rows=r, txs=tx2), None)
                        tx2 += (('fin', j, 1, (), (), ('todo', None)),)
                    if c[0] == 'commitc':
                        f2 = 1
                        if cancel == 'own_transactions': tx2 = tx2 + tuple(('kid', k, 0, (), (), ()) for k in waits[0])
                    v = None
                    for i in range(n):
                        if rows[i] in FIN and r[i] != rows[i]: v = 'final state changed'
                    yield (label, 1, mk(rows=r, wrows=w2, txs=tx2, flag=f2), v)
        # external: any never-run child can also be cancelled by its owner
        if cancel == 'child_only' and not casked: pass
        # deadlock detection
        if blocked:
            def reach(t, seen):
                for h in blocked.get(t, ()):
                    if h in seen: return True
                    if h in blocked and reach(h, seen | {h}): return True
                return False
            cyc = [t for t in blocked if any(_cyc(t, blocked))]
            if cyc:
                v = 'DEADLOCK between ' + ' and '.join(sorted(f'{t[0]}(J{t[1]})' for t in cyc))
                for t in cyc:
                    t2 = (t[0], t[1], 0, (), (), ()) if retry else None
                    yield (f'database aborts {t[0]}(J{t[1]})' + (', retried' if retry else ''), 1, mk(txs=rep(t, t2)), v)
    return init, succ
def _cyc(t, blocked):
    seen, todo = set(), list(blocked.get(t, ()))
    while todo:
        x = todo.pop()
        if x == t: yield True; return
        if x in seen: continue
        seen.add(x); todo += blocked.get(x, ())
    return
goal = lambda s: all(x in FIN for x in s[0]) and not s[2]
def run(name, *fails, **kw):
    i, f = model(**kw); check(name, i, f, None, goal, fails)
def runs():
    oldest = sorted
    one = dict(alone='locked')
    own = dict(cancel='own_transactions')
    same = dict(n=4, waits={0: (2, 3), 1: (2, 3)}, init_st='RRRR')
    diamond = dict(n=4, waits={0: (1, 2), 1: (3,), 2: (3,)}, init_st='RRRR')
    double = dict(n=4, waits={0: (1, 2, 3), 1: (2, 3)}, init_st='RRRN')
    levels = dict(n=3, waits={0: (1, 2), 1: (2,)}, init_st='RRR')
    run('a job waits for two', init_st='RRN')
    run('a cancel is a transaction for each row, and an end by cancel wakes, too', **own)
    run('two wait for the same two', **same)
    run('three levels', n=3, waits={0: (1,), 1: (2,)}, init_st='RRR')
    run('one waits for two of which one waits for the other: newest first', **levels)
    run('a diamond: awaited rows and waiters newest first', **diamond)
    run('the same, with a cancel', **diamond, **own)
    run('waiting twice, a child that never ran, a cancel', **double, **own)
    run('the own row locked first', init_st='RRR', own_first=(0,))
    run('who is not awaited ends in one statement: two wait for the same two', **same, **one)
    run('the same: one waits for two of which one waits for the other, a cancel', **levels, **one, **own)
    run('the same: a diamond', **diamond, **one)
    run('whether it is awaited is asked of the snapshot', 'STUCK', init_st='RRR', alone='seen')
    run('the one statement answers whether it was awaited, and who waits is woken in another transaction', 'STUCK', init_st='RRR', alone='after')
    run('the awaited rows are locked FOR SHARE, then updated: two wait for the same two', 'DEADLOCK', wait_lock='S', **same)
    run('one waits for two of which one waits for the other: oldest first', 'DEADLOCK', share_order=oldest, **levels)
    run('a diamond: waiters oldest first', 'DEADLOCK', waiter_order=oldest, **diamond)
    run('a cancel locks the parent, then its children, in one transaction', 'DEADLOCK', cancel='parent_first')
    run('a cancel locks the children, then the parent, and who begins to wait its own row first', 'DEADLOCK', own_first=(0,), cancel='children_first')
    run('a child that is ended by a cancel wakes nobody', 'STUCK', cancel_child_wakes=False, **own)
    run('update and search for waiters in one statement', 'STUCK', snap12=True, init_st='RRR')
    run('count in the statement that locks the waiters', 'STUCK', snap23=True, init_st='RRR')
    run('the awaited rows are read, not locked', 'STUCK', noshare=True, init_st='RRR')
    run('two wait for each other', 'DEADLOCK', 'STUCK', n=2, waits={0: (1,), 1: (0,)}, init_st='RR')
