"""The graceful stop. Process A holds the message of J0 (and may claim it), runs J1, hands over the mail of J2; others (B, supervisors)
are well. SIGTERM comes at any time; the claim may be executed and answered late, or its answer be lost."""
from engine import check
GOOD = ('claims', 'runs', 'mail', 'own', 'row')
def model(order=GOOD, check='atomic', mail='wait', sweep='standing', stopped='release', renew=True, deadline=0, zombie=1):
    """order: what the stop does one after the other, each waiting for its end: claims (those under way are answered or given up), runs
    (finished or released), mail (the hand-over ends), own (own running rows that no run knows are released), row (process row: stopped).
    check: atomic (flag and sending under one lock) | early (flag looked at, then a wait, then sent). stopped: release|lapse (how others put
    back what runs under a stopped process). sweep: standing | join (rows of lost processes only)."""
    # jobs J0..J2: st (Q,R,P,S,B = runs at B), t0: task of J0; mails handed over (J2), process row, stop: -1 none, k: step k of order ; gone, deadline over
    init = (('Q', 'R', 'R'), 'i', 'm', 'a', -1, 0, 0, 0, zombie, (0, 1))   # jobs, t0, t2, prow, stop, gone, dl, lapses, zombies, (J0 run known, J1 run known)
    def succ(s):
        js, t0, t2, pr, stop, gone, dl, lp, zb, known = s
        k0, k1 = known
        def mk(js=js, t0=t0, t2=t2, pr=pr, stop=stop, gone=gone, dl=dl, lp=lp, zb=zb, k0=k0, k1=k1): return (js, t0, t2, pr, stop, gone, dl, lp, zb, (k0, k1))
        def j(i, x): return tuple(x if q == i else y for q, y in enumerate(js))
        # others
        for i in range(3):
            if js[i] == 'P': yield (f'J{i}: due, queued', 1, mk(js=j(i, 'Q')), None)
            if js[i] == 'Q' and (i or t0 == '-'): yield (f'J{i}: claimed by B', 1, mk(js=j(i, 'B')), None)
            if js[i] == 'B': yield (f'J{i}: B succeeds', 1, mk(js=j(i, 'S')), 'a clean stop sends a mail twice' if i == 2 and t2 in 'dx' and not dl else None)
            dead = pr in 'Lx' or pr == 's'
            if js[i] == 'R' and dead and (sweep == 'standing' or pr == 'L'):
                lapse = pr == 'L' or stopped == 'lapse'
                yield (f'a supervisor puts J{i} back ({"lapse" if lapse else "release"})', 1, mk(js=j(i, 'P'), lp=1 if lapse else lp),
                       'a clean stop costs a job a lapse' if lapse and not dl else None)
        if pr == 'a' and (gone or (stop >= 0 and not renew)):
            yield ('time: the lease of A runs out, declared lost', 1 if gone else 0, mk(pr='L'), None)
        # claim statement at the server
        if t0 in 'wz' :
            if js[0] == 'Q':
                ok = pr == 'a'
                if ok: yield ('server executes the claim of J0', 1, mk(js=j(0, 'R'), t0='y' if t0 == 'w' else '-'), None)
                else: yield ('server: A is not alive, claim gives no row', 1, mk(t0='-'), None)
                # its snapshot may be older than the stop of the process (plain read): executed all the same
                if not ok and zb: yield ('server executes the claim of J0 (snapshot from before A stopped)', 0, mk(js=j(0, 'R'), t0='-', zb=0), None)
        if gone: 
            return
        if t0 == 'i' and (stop < 0 or check == 'none'): yield ('A takes the message of J0, sees no stop' if check == 'early' else 'A sends the claim of J0', 1, mk(t0='c' if check == 'early' else 'w'), None)
        if t0 == 'c': yield ('A sends the claim of J0', 1, mk(t0='w'), 'a job is begun after SIGTERM' if stop >= 0 else None)
        if t0 == 'w' and zb: yield ('A gives the claim of J0 up (still at the server)', 0, mk(t0='z', zb=0), None)
        if t0 == 'y':
            yield ('the answer arrives: J0 runs', 1, mk(t0='r', k0=1), None)
            if zb: yield ('the answer is lost', 0, mk(t0='-', zb=0), None)
        if t0 == 'r' and js[0] == 'R' and k0: yield ('J0 succeeds', 1, mk(js=j(0, 'S'), t0='-', k0=0), None)
        if js[1] == 'R' and k1: yield ('J1 succeeds', 1, mk(js=j(1, 'S'), k1=0), None)
        if t2 == 'm':
            yield ('mail of J2 accepted by the mail server', 1, mk(t2='d'), None)
        if t2 == 'd' and js[2] == 'R': yield ('J2 succeeds', 1, mk(js=j(2, 'S'), t2='-'), None)
        if stop < 0 and js[0] == 'R' and t0 == '-' and not k0: yield ('A\'s look: J0 is no run of mine, put back', 1, mk(js=j(0, 'P')), None)
        if stop < 0: yield ('SIGTERM: flag set, consumers cancelled' , 1, mk(stop=0, t0='-' if t0 == 'i' and check != 'none' else t0), None); return
        if deadline and not dl: yield ('the deadline passes: A exits', 0, mk(gone=1, dl=1, t0='z' if t0 == 'w' else '-', t2='x' if t2 == 'd' else t2), None)
        if stop == len(order): yield ('A exits', 1, mk(gone=1, t0='z' if t0 in 'wz' else '-', t2='x' if t2 == 'd' and js[2] != 'S' else t2), None); return
        what = order[stop]; nxt = stop + 1
        if what == 'claims' and t0 not in 'cwy': yield ('stop: no claim is under way', 1, mk(stop=nxt), None)
        if what == 'runs':
            if t0 == 'r' and k0 and js[0] == 'R': yield ('stop: J0 released', 1, mk(js=j(0, 'P'), t0='-', k0=0), None)
            if k1 and js[1] == 'R': yield ('stop: J1 released', 1, mk(js=j(1, 'P'), k1=0), None)
            if mail == 'release' and js[2] == 'R' and t2 in 'md': yield ('stop: J2 released', 1, mk(js=j(2, 'P'), t2='x' if t2 == 'd' else 'x'), None)
            if not (k1 and js[1] == 'R') and not (t0 == 'r' and k0 and js[0] == 'R') and (mail == 'wait' or js[2] != 'R'): yield ('stop: no run is left', 1, mk(stop=nxt), None)
        if what == 'mail' and not (t2 in 'md' and js[2] == 'R'): yield ('stop: no hand-over is left', 1, mk(stop=nxt), None)
        if what == 'own':
            mine = [i for i in range(3) if js[i] == 'R']
            for i in mine:
                if not (i == 0 and k0 or i == 1 and k1 or i == 2 and t2 in 'md'): yield (f'stop: J{i} runs under my id, no run of mine: released', 1, mk(js=j(i, 'P')), None)
            if not mine: yield ('stop: no row runs under my id', 1, mk(stop=nxt), None)
        if what == 'row': yield ('stop: process row: stopped', 1, mk(pr='s', stop=nxt), None)
    return init, succ, (lambda s: all(x == 'S' for x in s[0]))
def run(name, *fails, long=False, limit=3_000_000, **kw):
    i, f, g = model(**kw); check(name, i, f, None, g, fails, long, limit)
def runs():
    run('flag and sending under one lock; claims answered, runs released, hand-overs awaited, own rows released, the row last; what runs under a stopped process is released')
    run('the same, a deadline may pass at any step', deadline=1)
    run('claims under way are not awaited: holds, since what runs under a stopped process is released', order=('runs', 'mail', 'row'))
    run('the same, but it lapses', 'a clean stop costs a job a lapse', order=('runs', 'mail', 'row'), stopped='lapse')
    run('the row first, then the runs', 'a clean stop costs a job a lapse', 'a clean stop sends a mail twice', order=('claims', 'row', 'runs', 'mail', 'own'), stopped='lapse')
    run('the row is removed at the stop, the sweep looks at lost processes only', 'STUCK', order=('runs', 'mail', 'row'), sweep='join')
    run('a mail that is being handed over is released', 'a clean stop sends a mail twice', mail='release')
    run('the flag is read, then the claim waits, then it is sent', 'a job is begun after SIGTERM', check='early')
    run('the renewal ends at SIGTERM', 'a clean stop costs a job a lapse', renew=False)
