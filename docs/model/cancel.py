"""Cancel, claim, run, wait, undo. A saga of 2 steps; each has an effect outside the database, which no fence guards. A queued job may
be claimed at any time. Fences are kept relative (current, stale)."""
from engine import check
K, MAX = 2, 2
def model(atomic=True, due_fix=False, exhaust_fix=False, undo_nokill=False, inflight=False, tomb=False, neverrun='fence', op=1, NW=2, turn=False):
    I = ('i', 0, 'f', 0, 'f')
    # row: st, ran, att, due, flag, dir, cp ; e: effects 0 none 1 there 2 voided ; canceller: 0 not yet,1 saw never-run,2 done ; asked ; op budget
    init = (('P', 0, 0, 1, 0, 'f', 0), (0,) * K, (I,) * NW, 0, 0, op)
    def succ(s):
        (st, ran, att, due, flag, d, cp), e, ws, can, asked, ob = s
        row = s[0]
        def mk(row=row, e=e, ws=ws, can=can, asked=asked, ob=ob): return (row, e, tuple(sorted(ws)), can, asked, ob)
        def setw(k, w, base=None): b = base or ws; return b[:k] + (w,) + b[k+1:]
        def stale(b): return tuple((a, 0, m, c, x) for (a, cu, m, c, x) in b)
        def chk(s2, label):
            n = s2[0][0]
            return 'final state changed' if st in 'SCF' and n != st and not label.startswith('operator') else None
        def Y(label, fair, s2): return (label, fair, s2, chk(s2, label))
        def lose(kind):   # retry / lapse: what the row becomes
            undo = d == 'u'
            if att >= MAX:
                exempt = (undo and (kind == 'retry' or undo_nokill)) or (exhaust_fix and flag)
                if not exempt: return ('F', 1, att, 0, flag, d, cp)
            nd = 1 if (due_fix and flag and d == 'f') else 0
            return ('P', 1, 0 if (exhaust_fix and flag and d == 'f') else att, nd, flag, d, cp)
        if st == 'P' and not due: yield Y('time: run_at passes', 1, mk(row=('P', ran, att, 1, flag, d, cp)))
        if st == 'P' and due: yield Y('relay: queued', 1, mk(row=('Q', ran, att, 1, flag, d, cp)))
        if st == 'W': yield Y('all awaited are final: wake', 1, mk(row=('P', ran, att, 1, flag, d, cp)))
        if st == 'R': yield Y('lease lapses', 1, mk(row=lose('lapse'), ws=stale(ws)))
        # client cancel
        if can == 0:
            nr = (not ran) if neverrun == 'fence' else (cp == 0 and d == 'f')
            if atomic:
                if st in 'PQ' and nr: yield Y('client: cancel -> 200, ends at once', 0, mk(row=('C', ran, att, 0, 0, d, cp), can=2))
                elif st in 'PQRW': yield Y('client: cancel -> 202, flag set, made due', 0, mk(row=('P' if st in 'PW' else st, ran, att, 1, 1, d, cp), can=2, asked=1))
            elif st in 'PQ' and nr: yield Y('client: cancel reads the row: never run', 0, mk(can=1))
        if can == 1: yield Y('client: cancel writes state = cancelled WHERE id -> 200', 1, mk(row=('C', ran, att, 0, 0, d, cp), can=2))
        if st == 'F' and ob:
            yield Y('operator: redrive', 0, mk(row=('P', 1, 0, 1, flag, d, cp), ob=0))
            yield Y('operator: cancels the failed job', 0, mk(row=('P', 1, 0, 1, 1, d, cp), ob=0, asked=1))
        for k, w in enumerate(ws):
            if k and ws[k-1] == w: continue
            pc, cur, m, lc, ld = w
            nm = ('worker' if cur else 'ZOMBIE')
            if pc == 'i':
                if st == 'Q':
                    m2 = 'u' if (flag or d == 'u') else 'f'
                    if turn and flag and d == 'f':   # the claim itself turns the direction; the step in flight counts
                        c2 = min(cp + 1, K)
                        yield Y('worker claims, direction := undo in the same statement', 1,
                                mk(row=('R', 1, 1, 1, flag, 'u', c2), ws=setw(k, ('r', 1, 'u', c2, 'u'), stale(ws))))
                        continue
                    yield Y(f'worker claims ({"undo" if m2 == "u" else "forward"})', 1,
                            mk(row=('R', 1, min(att + 1, MAX), 1, flag, d, cp), ws=setw(k, ('r', 1, m2, cp, d), stale(ws))))
                continue
            yield Y(f'{nm} crashes', 0, mk(ws=setw(k, I)))
            mine = cur and st == 'R'
            if not mine and (pc == 'x' or lc >= 0): 
                yield Y('ZOMBIE: write refused, LostLease', 1, mk(ws=setw(k, I)))
            if pc == 'r':
                if m == 'f':
                    if lc < K:
                        if e[lc] == 2: yield Y(f'{nm}: step {lc+1} outside is refused (voided)', 1, mk(ws=setw(k, I)))
                        else: yield Y(f'{nm}: effect of step {lc+1} happens outside', 1, mk(e=e[:lc] + (1,) + e[lc+1:], ws=setw(k, ('x', cur, m, lc, ld))))
                    elif mine: yield Y('worker: commits succeeded', 1, mk(row=('S', 1, att, 0, flag, d, cp), ws=setw(k, I, stale(ws))))
                    if mine and flag and turn: yield Y('worker: learns of the cancel, commits direction := undo', 1, mk(row=('R', 1, 1, 1, flag, 'u', min(lc + 1, K)), ws=setw(k, ('r', 1, 'u', min(lc + 1, K), 'u'))))
                    elif mine and flag: yield Y('worker: learns of the cancel, turns to undo', 1, mk(ws=setw(k, ('r', 1, 'u', lc, ld))))
                    if mine:
                        yield Y('worker: retry/snooze', 0, mk(row=lose('retry'), ws=setw(k, I, stale(ws))))
                        if lc == 1:
                            if due_fix and flag: yield Y('worker: wait_for -> pending, cancel asked', 1, mk(row=('P', 1, att - 1, 1, flag, d, cp), ws=setw(k, I, stale(ws))))
                            else: yield Y('worker: wait_for -> waiting', 0, mk(row=('W', 1, att - 1, 1, flag, d, cp), ws=setw(k, I, stale(ws))))
                else:
                    lvl = lc if ld == 'u' else (min(lc + 1, K) if inflight else lc)
                    if lvl == 0:
                        if mine: yield Y('worker: commits cancelled', 1, mk(row=('C', 1, att, 0, flag, 'u', 0), ws=setw(k, I, stale(ws))))
                    else:
                        yield Y(f'{nm}: undoes step {lvl} outside', 1, mk(e=e[:lvl-1] + (2 if tomb else 0,) + e[lvl:], ws=setw(k, ('x', cur, m, lc, ld))))
                    if mine:
                        x = Y('worker: undo fails, retry', 0, mk(row=lose('retry'), ws=setw(k, I, stale(ws))))
                        yield x[:3] + (x[3] or ('undo is retried without backoff (hot loop)' if x[2][0][3] and x[2][0][0] == 'P' else None),)
            elif pc == 'x' and mine:
                if m == 'f':
                    yield Y(f'worker: commits checkpoint {lc+1}', 1, mk(row=('R', 1, 1, 1, flag, 'f', lc + 1), ws=setw(k, ('r', 1, 'f', lc + 1, 'f'))))
                    if flag and turn: yield Y('worker: learns of the cancel, commits direction := undo', 1, mk(row=('R', 1, 1, 1, flag, 'u', min(lc + 1, K)), ws=setw(k, ('r', 1, 'u', min(lc + 1, K), 'u'))))
                    elif flag: yield Y('worker: learns of the cancel, turns to undo', 1, mk(ws=setw(k, ('r', 1, 'u', lc, ld))))
                else:
                    lvl = lc if ld == 'u' else (min(lc + 1, K) if inflight else lc)
                    yield Y(f'worker: commits undo checkpoint, {lvl-1} left', 1, mk(row=('R', 1, 1, 1, flag, 'u', lvl - 1), ws=setw(k, ('r', 1, 'u', lvl - 1, 'u'))))
    def inv(s):
        (st, ran, att, due, flag, d, cp), e, ws, can, asked, ob = s
        if st == 'C' and 1 in e: yield 'cancelled, but an effect is still there'
        if st == 'F' and flag: yield 'cancel answered 202, job ends failed with its effects held'
        if st == 'P' and not due and flag and d == 'f': yield 'cancel answered 202, row sleeps in backoff/snooze'
        if st == 'W' and flag and d == 'f': yield 'cancel answered 202, row waits for others'
        if st == 'F' and d == 'u': yield 'undo given up (failed) although undo retries without limit'
    goal = lambda s: s[0][0] in 'SC' or (s[0][0] == 'F' and not s[0][4])
    return init, succ, inv, goal
def run(name, *fails, **kw):
    i, f, v, g = model(**kw); check(name, i, f, v, g, fails)
def runs():
    most = dict(inflight=True, due_fix=True, exhaust_fix=True, undo_nokill=True)
    run('the claim turns the direction (or the running handler, by a checkpoint); undo begins after the last checkpoint and leaves voids', tomb=True, turn=True, **most)
    run('one statement that only sets a flag', 'cancel answered 202, row sleeps', 'cancel answered 202, row waits', 'cancelled, but an effect', 'cancel answered 202, job ends failed', 'undo given up', 'STUCK')
    run('undone outside without leaving a void', 'cancelled, but an effect', turn=True, **most)
    run('only the first checkpoint of undo turns the direction', 'undo is retried without backoff', tomb=True, **most)
    run('"never ran" read as "no checkpoint"', 'cancelled, but an effect', tomb=True, turn=True, neverrun='checkpoint', **most)
    run('SELECT, then UPDATE WHERE id', 'cancelled, but an effect', 'final state changed', atomic=False, tomb=True, turn=True, **most)
