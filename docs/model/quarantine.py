"""Isolation by the quarantine alone. Worker processes with slots; a kill takes down everything that runs in the process. From
the second lapse on a job runs in `quarantine`, one at a time over all processes. Relay, broker and backoff are left out."""
from engine import check
QUAR, DEAD = 2, 5
def model(jobs='pII', withdraw='run', slots=3, dedicated=False, NP=1, ext=0, KCAP=6, steps=2, undo=False, total=0, extdead=True, PK=1):
    """jobs: p plain killer (kills in every run) | c killer that commits a checkpoint first, each time anew | s killer that now and then
    answers by itself without getting on (snooze, retry) | k killer that gets on, answers by itself, and kills at the next step (has `steps` steps)
    | u a killer in undo (never ends failed) | I innocent, may need several runs | L innocent that answers only at its end.
    withdraw: cp (a checkpoint sets lapses 0) | never | own (a run that ends by its own answer sets 0)
    | run (a run that has committed a checkpoint and ends by its own answer sets 0) | leak (a lapse +2; the first checkpoint of a run or
    an own answer -1; quarantine at 4, dead at 10). dedicated: the quarantine has a process of its own. ext: kills from outside."""
    q, dead, up = (4, 10, 2) if withdraw == 'leak' else (QUAR, DEAD, 1)
    # job: st (Q, 0.. process it runs in, S, F), lapses, got on in this run, steps left
    init = (tuple(('Q', 0, 0, steps) for _ in jobs), 0, ext)      # ..., kills by job 0, outside kills left
    procs = list(range(NP)) + ([NP] if dedicated else [])
    def succ(s):
        js, kills, ex = s
        def sj(k, j): return js[:k] + (j,) + js[k+1:]
        suspects = [k for k, j in enumerate(js) if j[0] in procs and j[1] >= q]
        for k, (st, lp, cp, left) in enumerate(js):
            kind = jobs[k]; nm = f'job {k} ({kind}, lapses {lp})'
            if st == 'Q':
                if lp >= q:
                    if not suspects:
                        for p in ([NP] if dedicated else procs): yield (f'{nm} begins in quarantine, process {p}', 1, (sj(k, (p, lp, 0, left)), kills, ex), None)
                else:
                    for p in range(NP):
                        if sum(j[0] == p and j[1] < q for j in js) < slots: yield (f'{nm} begins in process {p}', 1, (sj(k, (p, lp, 0, left)), kills, ex), None)
            if st in procs:
                gb = max(lp - 1, 0) if withdraw == 'leak' and not cp else lp
                # a checkpoint
                if (kind in 'cIu' or kind == 'k' and left) and not cp:
                    l2 = 0 if withdraw == 'cp' else gb
                    yield (f'{nm} commits a checkpoint', 1, (sj(k, (st, l2, 1, left - (kind == 'k'))), kills, ex), None)
                # an answer of its own that does not end the job
                if kind in 'sI' or kind == 'k' and cp:
                    l2 = 0 if withdraw == 'own' or withdraw == 'run' and cp or withdraw == 'cp' and cp else gb
                    yield (f'{nm} answers (snooze, retry, wait)', 1 if kind != 's' else 0, (sj(k, ('Q', l2, 0, left)), kills, ex), None)
                if kind in 'IL': yield (f'{nm} succeeds', 1, (sj(k, ('S', 0, 0, 0)), kills, ex), None)
                if kind in 'pscku' and not (kind in 'cku' and not cp and not (kind == 'k' and not left)):
                    r = []
                    for i, j in enumerate(js):
                        if j[0] == st:
                            n = j[1] + up
                            r.append((('F' if n >= dead and jobs[i] != 'u' else 'Q'), n if jobs[i] != 'u' else min(n, dead), 0, j[3]))
                        else: r.append(j)
                    v = None
                    bad = [i for i, j in enumerate(r) if j[0] == 'F' and js[i][0] != 'F' and jobs[i] in 'IL']
                    if bad: v = 'an innocent job ends failed (crashed)'
                    k2 = min(kills + (k == 0), KCAP + 1)
                    if k2 > KCAP: v = v or f'job 0 has killed more than {KCAP} processes'
                    yield (f'{nm} kills process {st} and all that runs there', 1, (tuple(r), k2, ex), v)
        if ex:
            for p in procs:
                if any(j[0] == p for j in js):
                    r = [((('F' if j[1] + up >= dead else 'Q'), j[1] + up, 0, j[3]) if j[0] == p else j) for j in js]
                    bad = [i for i, j in enumerate(r) if j[0] == 'F' and js[i][0] != 'F' and jobs[i] in 'IL']
                    yield (f'process {p} is killed from outside', 0, (tuple(r), kills, ex - 1), 'an innocent job ends failed (crashed)' if bad and extdead else None)
    goal = lambda s: all(j[0] in 'SF' if isinstance(j[0], str) else False for j in s[0])
    return init, succ, goal
def run(name, *fails, nogoal=False, lmax=None, long=False, **kw):
    i, f, g = model(**kw); jobs = kw['jobs']
    def inv(s):
        if any(jobs[k] in 'IL' and j[1] > lmax for k, j in enumerate(s[0])): yield f'an innocent has more than {lmax} lapses'
    check(name, i, f, inv if lmax is not None else None, None if nogoal else g, fails, long)
def consumer(hold='end', frozen=True, limit=None):
    """The single active consumer fails over: processes X (may freeze; its connection is then closed by the broker) and Y; suspects 0, 1.
    hold: settle (the place is free when the row is settled) | end (when the run has really ended: abandoned and lost runs hold it)."""
    # job: st, fence ; X, Y: (frozen, known runs as (job, fence, own)) ; active consumer
    init = ((('Q', 0), ('Q', 0)), (0, ()), (0, ()), 'X', (1, 1, 1, 1))
    def succ(s):
        js, X, Y, act, bud = s
        fz, lap, to, fo = bud
        for nm, me in (('X', X), ('Y', Y)):
            fr, runs = me
            def put(m, js2=js, act2=act, b2=bud): return (js2, m if nm == 'X' else X, m if nm == 'Y' else Y, act2, b2)
            if fr:
                yield (f'{nm} thaws', 0, put((0, runs)), None); continue
            if frozen and fz and nm == 'X' and runs: yield ('X freezes', 0, put((1, runs), b2=(0, lap, to, fo)), None)
            held = [r for r in runs if r[2] or hold == 'end']
            if act == nm and not held:
                for k in (0, 1):
                    if js[k][0] == 'Q' and js[k][1] < 2:
                        r2 = runs + ((k, js[k][1] + 1, 1),)
                        v = 'two suspects run in one process' if len({r[0] for r in r2}) > 1 else 'two runs of one suspect in one process' if len(r2) > 1 else None
                        v2 = None
                        other = Y if nm == 'X' else X
                        if not v and other[1]: v2 = 'NOTE two suspects run at a time, in two processes'
                        yield (f'{nm} begins suspect {k}, fence {js[k][1]+1}', 1, put((0, r2), js2=tuple(('R', js[k][1] + 1) if i == k else j for i, j in enumerate(js))), v or v2)
            for i, (k, f, own) in enumerate(runs):
                rest = runs[:i] + runs[i+1:]
                if own and js[k] == ('R', f):
                    yield (f'{nm}: suspect {k} succeeds', 1, put((0, rest), js2=tuple(('S', f) if i2 == k else j for i2, j in enumerate(js))), None)
                    if to: yield (f'{nm}: suspect {k} outlives its time-out, settled as retry, goes on as a task', 0, put((0, runs[:i] + ((k, f, 0),) + runs[i+1:]), js2=tuple(('Q', f) if i2 == k else j for i2, j in enumerate(js)), b2=(fz, lap, 0, fo)), None)
                else:
                    if own: yield (f'{nm}: suspect {k} has lost its lease, told to end', 1, put((0, runs[:i] + ((k, f, 0),) + runs[i+1:])), None)
                    else: yield (f'{nm}: the left-over run of suspect {k} ends', 1, put((0, rest)), None)
        if X[0] and fo: yield ('broker closes the frozen consumer, Y is the active one', 1, (js, X, Y, 'Y', (fz, lap, to, 0)), None)
        if act == 'Y' and not X[0] and not fo: yield ('Y closes, X is the active one again', 0, (js, X, Y, 'X', (fz, lap, to, -1)), None)
        if X[0] and lap:
            for k, f, own in X[1]:
                if js[k] == ('R', f): yield (f'lease of frozen X lapses, suspect {k} put back', 1, (tuple(('Q', f) if i == k else j for i, j in enumerate(js)), X, Y, act, (fz, 0, to, fo)), None)
    return init, succ
def runs():
    for k, what in (('p', 'kills at once'), ('c', 'commits a checkpoint first'), ('s', 'snoozes now and then')):
        run(f'withdrawn by the own answer of a run that has committed a checkpoint: a killer that {what}, three innocents, at most 5 kills', jobs=k + 'LLI', KCAP=5)
    run('a killer that gets on (2 steps) between its kills: at most 5 kills a step', jobs='kLL', KCAP=15, steps=2)
    run('one killer, three innocents in its process: at most 2 lapses', jobs='pLLI', KCAP=5, lmax=2)
    run('two killers, one innocent, all in one process', jobs='ppL', KCAP=5)
    run('three killers, quarantine in a process of its own: at most 2 lapses', jobs='pppL', KCAP=5, slots=4, dedicated=True, lmax=2)
    run('four killers, the same', jobs='ppppL', KCAP=5, slots=5, dedicated=True, lmax=2, long=True)
    run('a killer that gets on between its kills (5 steps), quarantine in a process of its own', jobs='kLL', KCAP=25, steps=5, dedicated=True, lmax=2)
    run('4 kills from outside', jobs='LL', ext=4)
    run('one killer and 2 kills from outside, quarantine in a process of its own', jobs='pL', ext=2, dedicated=True)
    run('only a success withdraws: holds, but a job that gets on is ended by five kills in its whole life', jobs='pLL', withdraw='never', KCAP=5)
    check('the place in quarantine is free when the run has really ended', *consumer('end'))
    innocent, endless = 'an innocent job ends failed', 'job 0 has killed more than'
    run('bound: three killers, quarantine in the same process', innocent, jobs='pppL', KCAP=5, slots=4)
    run('bound: a killer that gets on (5 steps), quarantine in the same process', innocent, jobs='kLL', KCAP=25, steps=5)
    run('bound: 5 kills from outside', innocent, jobs='LL', ext=5)
    run('bound: one killer and 3 kills from outside', innocent, jobs='pL', ext=3)
    run('bound: a killer in undo never ends (its innocents: two lapses each)', endless, jobs='uLL', KCAP=12, nogoal=True, lmax=2)
    run('a checkpoint withdraws', innocent, endless, jobs='cLL', withdraw='cp', KCAP=12, nogoal=True)
    run('every answer of its own withdraws', innocent, endless, jobs='sLL', withdraw='own', KCAP=12, nogoal=True)
    run('a count that leaks', innocent, endless, jobs='sLL', withdraw='leak', KCAP=9, nogoal=True)
    check('the place in quarantine is free when the row is settled', *consumer('settle'), fails='two ')
    global QUAR
    QUAR, kept = 99, QUAR
    run('no quarantine', innocent, jobs='pLL', withdraw='never', KCAP=5)
    QUAR = kept
