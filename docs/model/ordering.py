"""Two jobs of one ordering key, two relays. Each statement takes its snapshot, then locks and looks again at its own row."""
from engine import check
MAX = 2
ACT = 'QRW'; FIN = 'SFC'
def model(tail=True, check_active=False, head=True, born=None, redrives=1, wait_same=False, same_seq=False, atomic=False):
    # job: st, seq, due, att
    init = ((('P', 1, 1, 0), ('-', 0, 0, 0)), 2, (None, None), redrives)
    N = 'AB'
    def succ(s):
        jobs, nxt, rel, rd = s
        def mk(jobs=jobs, nxt=nxt, rel=rel, rd=rd): return (jobs, nxt, tuple(sorted(rel, key=repr)), rd)
        def sj(k, j): return jobs[:k] + (j,) + jobs[k+1:]
        def chk(js, label):
            if sum(j[0] == 'R' for j in js) > 1: return 'two jobs of one key running'
            for a, b in zip(jobs, js):
                if a[0] in FIN and b[0] != a[0] and not label.startswith('operator'): return 'final state changed'
        def Y(label, fair, s2, v=None): return (label, fair, s2, v or chk(s2[0], label))
        for k, (st, seq, due, att) in enumerate(jobs):
            n = N[k]
            if st == '-':
                others = any(j[0] in ACT for j in jobs)
                if born == 'always':
                    if others: yield Y(f'enqueue {n} born queued', 1, mk(), 'unique violation aborts the enqueuing (order) transaction')
                    else: yield Y(f'enqueue {n} born queued, seq {nxt}', 1, mk(jobs=sj(k, ('Q', nxt, 1, 0)), nxt=nxt + 1))
                yield Y(f'enqueue {n} pending, seq {nxt}', 1, mk(jobs=sj(k, ('P', nxt, 1, 0)), nxt=nxt + 1))
            if st == 'P' and not due: yield Y(f'time: run_at of {n} passes', 1, mk(jobs=sj(k, ('P', seq, 1, att))))
            if st == 'Q':
                low = [N[i] for i, j in enumerate(jobs) if i != k and j[0] not in FIN + '-' and j[1] < seq]
                yield Y(f'{n} (seq {seq}) claimed', 1, mk(jobs=sj(k, ('R', seq, 1, att + 1))), f'order broken: a job runs while an earlier one is unfinished' if low else None)
                yield Y(f'{n} put back', 0, mk(jobs=sj(k, ('P', seq, 0, att))))
            if st == 'R':
                yield Y(f'{n} succeeds', 1, mk(jobs=sj(k, ('S', seq, 0, att))))
                yield Y(f'{n} fails or lapses', 0, mk(jobs=sj(k, ('F' if att >= MAX else 'P', seq, 0, att))))
                yield Y(f'{n} waits', 0, mk(jobs=sj(k, ('W', seq, 1, att - 1))))
            if st == 'W' and not (wait_same and k == 0 and jobs[1][0] not in FIN):
                yield Y(f'{n} woken', 1, mk(jobs=sj(k, ('P', seq, 1, att))))
            if st == 'F' and rd:
                ns = nxt if tail else seq
                yield Y(f'operator: redrive {n}, seq {ns}', 0, mk(jobs=sj(k, ('P', ns, 1, 0)), nxt=nxt + (1 if tail else 0), rd=rd - 1))
        for r, sn in enumerate(rel):
            if r and rel[0] == rel[1]: continue
            def setr(x): return rel[:r] + (x,) + rel[r+1:]
            if atomic and sn is None: sn = jobs
            if sn is None:
                if any(j[0] == 'P' and j[2] for j in jobs): yield Y('relay: statement starts (snapshot)', 1, mk(rel=setr(jobs)))
                continue
            def elig(k, me):   # my row: newest version; the other rows: the statement's snapshot
                if me[0] != 'P' or not me[2]: return False
                for i, j in enumerate(sn):
                    if i == k: continue
                    if head and j[0] not in FIN + '-' and j[1] < me[1]: return False
                    if check_active and j[0] in ACT: return False
                return True
            new, v, moved = jobs, None, []
            for k in range(2):
                if elig(k, sn[k]) and elig(k, jobs[k]) and not (same_seq and sn[k][1] != jobs[k][1]):
                    if any(i != k and j[0] in ACT for i, j in enumerate(new)):
                        v = 'unique violation: the relay statement (whole batch) is aborted'
                        fresh = not (sn != jobs)
                        if fresh: v += ', and again at every poll while the other job is active'
                        break
                    new = new[:k] + (('Q', jobs[k][1], 1, jobs[k][3]),) + new[k+1:]; moved.append(N[k])
            if v: yield Y('relay: unique violation, batch rolled back', 1, mk(rel=setr(None)), v)
            else: yield Y(f'relay: moves {moved} to queued', 1, mk(jobs=new, rel=setr(None)))
    goal = lambda s: all(j[0] in FIN for j in s[0])
    return init, succ, goal
def run(name, *fails, long=False, limit=3_000_000, **kw):
    i, f, g = model(**kw); check(name, i, f, None, g, fails, long, limit)
def runs():
    order, twice = 'order broken', 'unique violation'
    run('the move compares the ordering_seq that was selected', redrives=2, same_seq=True)
    run('born queued only without an ordering key', same_seq=True, redrives=1)
    run('the move selects and updates by its snapshot', order, twice, redrives=2)
    run('the same, and nothing of the key is active (by its snapshot)', order, twice, redrives=2, check_active=True)
    run('a redrive keeps its old ordering_seq', order, twice, tail=False, atomic=True)
    run('a job waits for a later one of its own key', 'STUCK', wait_same=True, same_seq=True)
    run('born queued with an ordering key', order, twice, born='always', same_seq=True)
    run('the relay takes any due row, and only the index guards', twice, order, 'STUCK', head=False, atomic=True)
