"""A lease for each process. One job J; process A may freeze, thaw, die, and goes on under a new id when it finds itself lost;
worker B is always well; supervisors. PostgreSQL at READ COMMITTED, statement by statement: a claim takes its snapshot, waits for locks,
looks again at the row that it updates (and only at that one), commits. The sweep uses SKIP LOCKED. `one_job` has the broker and the relay."""
from engine import check
def model(claim='plain', declare='update', sweep='once', settle='fence', registry='claim', abandon=0, freeze=1, supdie=1, die=1,
          MAXC=3, multi=False, assert_lost=False, removed_rows=False, lockwait=False):
    """claim: none|plain|share|keyshare (how the claim looks at the process row). declare: update|forupdate.
    sweep: once (the declarer, until SKIP LOCKED gives nothing) | skip (any supervisor, until SKIP LOCKED gives nothing: then the
    row of the process is done with) | join (standing, by a JOIN with the rows of lost processes) | standing (any look, for ever:
    running rows whose worker has no living row; one fresh statement) | list+fence | list+state | list+snapshot (the same in two
    phases: a list, then a transaction for each row: compares the listed fence; nothing but the state; or rechecks the condition
    with the list's old snapshot of `processes`, as a recheck after a lock wait at READ COMMITTED does).
    settle: fence|worker. multi: the claim is a transaction of several round trips, not one statement. registry: claim (job+fence) | job. lockwait: a claim may wait for the job's row while it holds its lock."""
    # J: st, fence, wid, lock ('' free, 'c' the claim, 'r0'/'r1' a run's transaction, 'o' an operator)
    # P: rows of ids 1, 2: a alive, e lease time over, L declared lost, x done with / removed, - not yet
    # A: (alive, frozen, cur id, claimer, runs, known) claimer: None | (pc, id) pc s: snapshot taken (and lock held), u: updated
    # runs: tuple of (id, fence, pc, told, mine, zomb)   known: is the newest run of J in A's list of runs
    init = (('Q', 0, '-', ''), ('a', '-'), (1, 0, 1, None, (), 1), None, None, (freeze, supdie, die, abandon, 1), 0)
    def succ(s):
        J, P, A, B, S, bud, ghost = s                       # B: None | fence of B's run ; S: None | ('d', id) | ('w', id)
        st, fence, wid, lock = J
        alive, frozen, cur, cl, runs, known = A
        fz, sd, dd, ab, op = bud
        def mk(J=J, P=P, A=A, B=B, S=S, bud=bud, ghost=ghost): return (J, P, A, B, S, bud, ghost)
        def a(alive=alive, frozen=frozen, cur=cur, cl=cl, runs=runs, known=known): return (alive, frozen, cur, cl, tuple(sorted(runs)), known)
        def setp(i, x): return tuple(x if k == i - 1 else p for k, p in enumerate(P))
        def setr(k, r): return runs[:k] + ((r,) if r else ()) + runs[k+1:]
        living = lambda w: w == 'B' or (w in (1, 2) and P[w-1] in 'ae')
        share_held = cl and claim in ('share', 'keyshare')
        def stale(rs): return tuple((i, f, pc, t, 0, z) for (i, f, pc, t, m, z) in rs)
        # --- time, relay
        if st == 'P' and not lock: yield ('relay: J pending -> queued', 1, mk(J=('Q', fence, '-', '')), None)
        for i in (1, 2):
            if P[i-1] == 'a' and (frozen or not alive or i != cur): yield (f'time: the lease of id {i} runs out', 1, mk(P=setp(i, 'e')), None)
            if P[i-1] == 'a' and alive and not frozen and i == cur and claim == 'share' and share_held:
                yield (f'renewal of id {i} waits for the share lock of its own claim; the lease of a living process runs out', 0, mk(P=setp(i, 'e')),
                       'a living process can not renew: its renewal waits for its own claims')
        # --- supervisor: declare by compare-and-set
        if S is None:
            for i in (1, 2):
                if P[i-1] == 'e': yield (f'supervisor: begins to declare id {i} lost', 1, mk(S=('d', i)), None)
        elif S[0] == 'd':
            i = S[1]
            waits = share_held and cl[1] == i and (claim == 'share' or declare == 'forupdate')
            if not waits:
                if P[i-1] == 'e': yield (f'supervisor: id {i} is lost (compare-and-set), commit', 1, mk(P=setp(i, 'L'), S=('w', i) if sweep == 'once' else None), None)
                else: yield (f'supervisor: id {i} was renewed, leaves it', 1, mk(S=None), None)
        if S and sd:   # another supervisor takes over at its own look
            yield ('supervisor dies', 0, mk(S=None, bud=(fz, 0, dd, ab, op)), None)
        # --- sweep
        def put_back(label, S2=S, P2=P, fair=1):
            v = None
            if living(wid) and not any(r[1] == fence and r[5] for r in runs): v = 'a job of a living process is put back'
            r2 = stale(runs)
            return (label, fair, mk(J=('P', fence, '-', ''), S=S2, P=P2, A=a(runs=r2)), v)
        dead = [i for i in (1, 2) if P[i-1] in 'Lx']
        if sweep == 'once' and S and S[0] == 'w':
            i = S[1]
            if st == 'R' and wid == i and not lock: yield put_back(f'supervisor: sweep puts J back (fence {fence})')
            else: yield ('supervisor: sweep (SKIP LOCKED) gives no row: done', 1, mk(S=None, P=setp(i, 'x')), None)
        if sweep == 'skip':
            for i in (1, 2):
                if P[i-1] == 'L':
                    if st == 'R' and wid == i and not lock: yield put_back(f'a supervisor: sweep of id {i} puts J back (fence {fence})')
                    else: yield (f'a supervisor: sweep of id {i} (SKIP LOCKED) gives no row: id {i} is done with', 1, mk(P=setp(i, 'x')), None)
        if sweep == 'join':
            if removed_rows:
                for i in (1, 2):
                    if P[i-1] == 'L': yield (f'retention removes the row of id {i}', 0, mk(P=setp(i, 'x')), None)
            if st == 'R' and wid in (1, 2) and P[wid-1] == 'L' and not lock: yield put_back(f'a supervisor looks: J runs under lost id {wid}, put back')
        if sweep == 'standing':
            if removed_rows:
                for i in (1, 2):
                    if P[i-1] == 'L': yield (f'retention removes the row of id {i}', 0, mk(P=setp(i, 'x')), None)
            if st == 'R' and wid in (1, 2) and not living(wid) and not lock: yield put_back(f'a supervisor looks: J runs under id {wid}, which is not alive: put back')
        if sweep.startswith('list'):
            if removed_rows:
                for i in (1, 2):
                    if P[i-1] == 'L': yield (f'retention removes the row of id {i}', 0, mk(P=setp(i, 'x')), None)
            if S is None and st == 'R' and wid in (1, 2) and not living(wid): yield (f'a supervisor lists J (fence {fence}), whose worker id {wid} has no living row', 1, mk(S=('l', fence, P)), None)
            if st == 'R' and wid in (1, 2) and not living(wid) and not lock: yield put_back(f'another supervisor puts J back (fence {fence})')
            if S and S[0] == 'l':
                deadold = wid in (1, 2) and S[2][wid-1] not in 'ae'
                hit = st == 'R' and not lock and (sweep == 'list+state' or sweep == 'list+fence' and fence == S[1] or sweep == 'list+snapshot' and deadold)
                if hit: yield put_back('the supervisor puts J back', S2=None)
                else: yield ('the supervisor: 0 rows or locked, left for the next look', 1, mk(S=None), None)
        # --- worker B
        if st == 'Q' and not lock and B is None: yield (f'B claims J: fence {fence+1}', 1, mk(J=('R', fence + 1, 'B', ''), B=fence + 1, A=a(runs=stale(runs))), None)
        if B is not None and st == 'R' and fence == B and not lock: yield ('B: commits success', 1, mk(J=('S', fence, '-', ''), B=None), None)
        if B is not None and not (st == 'R' and fence == B): yield ('B: LostLease', 1, mk(B=None), None)
        # --- operator locks J's row for a while
        if lockwait and op and not lock and st == 'Q': yield ('an operator locks J\'s row', 0, mk(J=(st, fence, wid, 'o'), bud=(fz, sd, dd, ab, 0)), None)
        if lock == 'o': yield ('the operator lets J\'s row go', 1, mk(J=(st, fence, wid, '')), None)
        # --- A's statement at the server goes on while A is frozen or dead (one autocommit statement; as a transaction it needs A)
        if cl:
            pc, cid = cl
            if pc == 's':
                if not lock:
                    if st == 'Q': yield (f'A(id {cid}): claim updates J (not yet committed)', 1, mk(J=(st, fence, wid, 'c'), A=a(cl=('u', cid))), None)
                    else: yield (f'A(id {cid}): claim gives no row', 1, mk(A=a(cl=None)), None)
            elif not multi or (alive and not frozen):
                v = 'a claim is committed under an id that was declared lost before' if assert_lost and P[cid-1] in 'Lx' else None
                nr = ((cid, fence + 1, 'r', 0, 1, 0),) if alive else ()
                if len(runs) < 2:
                    yield (f'A(id {cid}): claim commits, fence {fence+1}', 1, mk(J=('R', fence + 1, cid, ''), A=a(cl=None, runs=stale(runs) + nr, known=1)), v)
            elif frozen: yield ('database ends the idle claim transaction of frozen A', 1, mk(J=(st, fence, wid, ''), A=a(cl=None)), None)
        if not alive: return
        if frozen:
            yield ('A thaws', 0, mk(A=a(frozen=0)), None)
            for k, r in enumerate(runs):
                if r[2] == 't': yield ('database ends the idle transaction of frozen A', 1, mk(J=(st, fence, wid, ''), A=a(runs=setr(k, r[:2] + ('r',) + r[3:]))), None)
            return
        if fz: yield ('A freezes' + (f' [claim under way, id {cl[1]}]' if cl else ''), 0, mk(A=a(frozen=1), bud=(0, sd, dd, ab, op)), None)
        if dd:
            gone = cl and multi
            J2 = (st, fence, wid, '' if lock in ('r0', 'r1') or gone else lock)
            yield ('A dies' + (' [the claim statement is at the server]' if cl and not gone else ''), 0,
                   (J2, P, (0, 0, cur, None if gone else cl, (), 1), B, S, (fz, sd, 0, ab, op), ghost), None)
        # renewal
        if P[cur-1] == 'e' and not (S and S[0] == 'd' and S[1] == cur and declare == 'forupdate' and False):
            if not (claim == 'share' and share_held): yield (f'A renews id {cur} in time (not yet declared lost)', 1, mk(P=setp(cur, 'a')), None)
        if P[cur-1] in 'Lx' and cur == 1:
            yield ('A: renewal finds id 1 lost; tells its runs to end; goes on as id 2', 1,
                   mk(P=('L' if P[0] == 'L' else 'x', 'a'), A=a(cur=2, runs=tuple((i, f, pc, 1, m, z) for (i, f, pc, t, m, z) in runs))), None)
        # claim
        if cl is None and fence < MAXC and len(runs) < 2:
            ok = claim == 'none' or P[cur-1] == 'a' or (P[cur-1] == 'e' and False)
            blocked = S and S[0] == 'd' and S[1] == cur and False
            if st == 'Q' and ok and not blocked: yield (f'A(id {cur}): claim begins (snapshot: id {cur} {"not looked at" if claim == "none" else "alive"})', 1, mk(A=a(cl=('s', cur))), None)
        # runs
        for k, r in enumerate(runs):
            i, f, pc, told, mine, zomb = r
            nm = f'A run(id {i}, fence {f}{", abandoned" if zomb else ""})'
            okrow = st == 'R' and (fence == f if settle == 'fence' else wid == i)
            if pc == 'r':
                if told or zomb or not okrow:
                    k2 = known
                    newer = any(q[1] > f and q[4] for q in runs)
                    if registry == 'job' and newer: k2 = 0
                    yield (f'{nm} ends, leaves the list of runs', 1, mk(A=a(runs=setr(k, None), known=k2)),
                           'the end of an old run takes the new run of the same job out of the list (no cancel, no lost signal, not in /tasks)' if k2 < known else None)
                if okrow and not lock:
                    bad = None if mine else 'a write by a stale run is accepted'
                    yield (f'{nm}: locks own row', 1, mk(J=(st, fence, wid, f'r{k}'), A=a(runs=setr(k, (i, f, 't', told, mine, zomb)))), bad)
                    if ab and not zomb: yield (f'{nm} outlives its time-out: settled as retry, its task goes on', 0,
                        mk(J=('P', fence, '-', ''), A=a(runs=setr(k, (i, f, 'r', 0, 0, 1))), bud=(fz, sd, dd, 0, op)), bad)
            if pc == 't':
                bad = None if mine else 'a write by a stale run is accepted'
                yield (f'{nm}: commits a step or enqueues', 1, mk(J=(st, fence, wid, ''), A=a(runs=setr(k, (i, f, 'r', told, mine, zomb)))), bad)
                yield (f'{nm}: commits success', 1, mk(J=('S', fence, '-', ''), A=a(runs=setr(k, None))), bad)
    goal = lambda s: s[0][0] == 'S'
    return init, succ, goal
def run(name, *fails, long=False, limit=3_000_000, **kw):
    i, f, g = model(**kw); check(name, i, f, None, g, fails, long, limit)
def runs():
    seen = dict(removed_rows=True, abandon=1, lockwait=True)
    run('the claim reads that its process lives; every look lists what runs under no living process, and puts each back by its fence', sweep='list+fence', **seen)
    run('the same in one fresh statement', sweep='standing', **seen)
    run('the same, the claim is a transaction of several statements', sweep='standing', multi=True, **seen)
    run('FOR KEY SHARE in the claim and FOR UPDATE before the declaration hold, too: no claim is ever under a lost id', claim='keyshare', declare='forupdate', sweep='standing', assert_lost=True, **seen)
    run('whoever declares a process lost sweeps once, until SKIP LOCKED gives nothing', 'STUCK')
    run('the same, no supervisor dies', 'STUCK', supdie=0)
    run('the same, the claim locks its process FOR KEY SHARE', 'STUCK', claim='keyshare', declare='forupdate')
    run('the same, every supervisor sweeps each lost process until SKIP LOCKED gives nothing', 'STUCK', claim='keyshare', declare='forupdate', sweep='skip')
    run('the claim locks its process FOR SHARE', 'a living process can not renew', claim='share', sweep='standing', lockwait=True)
    run('FOR KEY SHARE, but declared lost by a plain UPDATE', 'a claim is committed under an id', claim='keyshare', sweep='standing', assert_lost=True)
    run('the sweep joins the rows of lost processes, which retention removes', 'STUCK', sweep='join', removed_rows=True)
    run('the second phase of the sweep compares the state only', 'a job of a living process is put back', sweep='list+state', removed_rows=True)
    run('NOT EXISTS in the statement that locks: after a wait it sees the processes of the list', 'a job of a living process is put back', sweep='list+snapshot', removed_rows=True)
    run('the claim does not look at its process', 'a claim is committed under an id', claim='none', sweep='standing', assert_lost=True)
    run('a settle compares the worker, not the fence', 'a write by a stale run', sweep='standing', settle='worker', abandon=1)
    run('runs are listed by job, not by job and fence', 'the end of an old run', sweep='standing', registry='job')
