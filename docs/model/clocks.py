"""Clocks and outages. A tick is a third of the lease of the worker P and of the supervisor V, if nothing else is said. P may be well,
frozen, dead. The database may be away, its clock may jump. lease = ticks left of P's lease by the database's clock; bel = ticks left that P
believes in. `length`: P's lease in ticks, of which its row tells; it tries to renew each `length / 3` ticks.
`looks`: V looks each so many ticks; three times that is its own lease. `anew`: a look that fails begins the watch anew."""
from engine import check
def model(declare='watch', renewable=True, belief='sending', watch=4, down=5, jump=0, freeze=1, die=1, vfreeze=1, gap=1, strict=False, length=3, looks=1, anew=True):
    """declare: time (lease over by the database's clock, at once) | two (seen over at two looks in a row, the same renewal) | watch (the supervisor has itself
    seen this same renewal unchanged for `watch` ticks, no gap of more than `gap` between its looks; CAS on the renewal's number).
    renewable: a lease that is over but not declared lost can be renewed. belief: sending (counted from before the renewal is sent) | answer."""
    # P: w well, f frozen, d dead; lease, lost, bel, flight (None | ticks since its renewal was sent)
    # V: state (w, f), same (no renewal since its last look), age of watching, ticks since its last look ; db up?, budgets ; done (ticks until P tries again, ticks until V looks again)
    # Looks in two ticks, one after the other, may be nearly two ticks apart: `gap=1` allows that, and no more.
    T, every = length, length // 3
    init = (('w', T, 0, T, None), ('w', 0, 0, 0), 1, (down, jump, freeze, die, vfreeze), (0, 0), 1)
    def succ(s):
        (pst, lease, lost, bel, fl), (vst, same, age, since), up, bud, done, wellp = s
        dn, jp, fz, di, vf = bud
        pt, vl = done
        def mk(P=None, V=None, up=up, bud=bud, done=done, wellp=wellp): return (P or (pst, lease, lost, bel, fl), V or (vst, same, age, since), up, bud, done, wellp)
        def p(pst=pst, lease=lease, lost=lost, bel=bel, fl=fl): return (pst, lease, lost, bel, fl)
        def b(i): return tuple(x - 1 if k == i else x for k, x in enumerate(bud))
        # tick: everybody who is well has had his turn (P tries each tick, V looks each tick, if the database answers)
        if (pst != 'w' or pt or lost) and (vst != 'w' or vl) and not (pst == 'w' and fl is not None and fl >= 1):
            yield ('tick', 1, mk(P=p(lease=max(lease - 1, 0), bel=max(bel - 1, 0), fl=None if fl is None else min(fl + 1, T)), V=(vst, same, min(age + 1, watch + 1), min(since + 1, 9)), done=(max(pt - 1, 0), max(vl - 1, 0))), None)
        # database, clocks
        if up and dn: yield ('the database goes away', 0, mk(up=0), None)
        if not up:
            yield ('the database is back', 1, mk(up=1, bud=(0,) + bud[1:]), None)
        if jp: yield ('the database\'s clock jumps ahead by a lease (failover)', 0, mk(P=p(lease=0), bud=b(1)), None)
        # P
        if pst == 'w' and not lost:
            if not pt:
                if not up: yield ('P: renewal fails, tries again next tick', 1, mk(done=(every, vl)), None)
                elif fl is None:
                    # executed and answered within the tick, or the answer comes later
                    ok = lease > 0 or renewable
                    if ok:
                        yield ('P renews', 1, mk(P=p(lease=T, bel=T), V=(vst, 0, age, since), done=(every, vl)), None)
                        yield ('P\'s renewal is executed, its answer is on the way', 0, mk(P=p(lease=T, fl=0), V=(vst, 0, age, since), done=(every, vl)), None)
                    else: yield ('P: renewal refused, the lease is over: P ends all its runs', 1, mk(P=p(lost=2), done=(every, vl)), 'a living process whose every renewal was tried in time loses its lease' if wellp else None)
                elif fl < 1: yield ('P waits for its answer', 1, mk(done=(every, vl)), None)
            if fl is not None and fl >= 1: yield ('P gives the answer up (deadline: a tick), will renew again', 1, mk(P=p(fl=None)), None)
            if fl is not None: yield ('the answer arrives', 1, mk(P=p(fl=None, bel=max(T - fl, bel) if belief == 'sending' else T)), None)
            if fz: yield ('P freezes', 0, mk(P=p(pst='f'), bud=b(2), wellp=0), None)
            if di: yield ('P dies', 0, mk(P=p(pst='d', bel=0), bud=b(3), wellp=0), None)
        if pst == 'f': yield ('P thaws', 0, mk(P=p(pst='w'), done=(0, vl)), None)
        # V
        if vst == 'w':
            if vf: yield ('V freezes', 0, mk(V=('f', same, age, since), bud=b(4)), None)
            if not vl:
                if not up: yield ('V: look fails', 1, mk(V=(vst, same, age, 9) if anew else None, done=(pt, looks)), None)
                else:
                    if declare == 'time': hit = lease == 0
                    elif declare == 'two': hit = lease == 0 and same and age >= 1
                    else: hit = same and since <= gap and age >= watch
                    a2 = age if same and (declare != 'watch' or since <= gap) else 0
                    if declare == 'two' and lease > 0: s2, a2 = 0, 0
                    else: s2 = 1
                    if hit and not lost:
                        v = 'a living process whose every renewal was tried in time is declared lost' if wellp and pst == 'w' else None
                        yield ('V declares P lost (compare-and-set)', 1, mk(P=p(lost=1), V=(vst, s2, a2, 0), done=(pt, looks)), v)
                    else: yield ('V looks', 1, mk(V=(vst, s2, a2, 0), done=(pt, looks)), None)
        else: yield ('V thaws', 1, mk(V=('w', same, age, since)), None)
    def inv(s):
        (pst, lease, lost, bel, fl), V, up, bud, done, wellp = s
        if declare == 'watch' and lost == 1 and bel > 0: yield 'declared lost while it still believes in its lease'
        if strict and pst == 'w' and bel > 0 and lease == 0 and bud[1] == jump: yield 'P believes in a lease that is over'
    goal = lambda s: (s[0][0] != 'd') or s[0][2]      # a dead process is declared lost
    return init, succ, inv, goal
def run(name, *fails, long=False, **kw):
    i, f, v, g = model(**kw); check(name, i, f, v, g, fails, long)
def runs():
    living, refused, belief = 'a living process whose every renewal was tried in time is declared lost', 'a living process whose every renewal was tried in time loses', 'declared lost while it still believes'
    run('renewable until declared lost; lost when this supervisor has seen the row unchanged for a lease and a third, by its own clock, without a gap')
    run('the same, the clock of the database may jump ahead', jump=1)
    run('the process has twice the lease of the supervisor, which watches for that and a third', length=6, watch=8)
    run('the supervisor has three times the lease of the process, and watches for its own and a third', looks=3, gap=5, watch=12)
    run('a failed look is only a gap', anew=False)
    run('the belief counts from before the renewal is sent', freeze=0, strict=True)
    run('the process has twice the lease of the supervisor, which watches for its own and a third', belief, length=6, watch=4)
    run('the supervisor has three times the lease of the process, and watches for that of the process and a third', living, looks=3, gap=5, watch=4)
    run('two looks may be nearly a lease apart', living, gap=2)
    run('what is over can not be renewed, and is lost at once', living, refused, declare='time', renewable=False, strict=True)
    run('renewable until declared lost, but lost as soon as its time is over', living, declare='time')
    run('lost at the second look that sees it over', living, declare='two')
    run('watched for a lease only', living, watch=3)
    run('watched for a third only', living, belief, watch=1)
    run('the watch does not notice that the supervisor itself was frozen, or could not look', living, gap=99)
    run('what is over can not be renewed, the clock of the database jumps ahead', living, refused, declare='time', renewable=False, strict=True, jump=1, down=0, vfreeze=0)
    run('the belief counts from the answer', 'P believes in a lease that is over', belief='answer', freeze=0, strict=True)
