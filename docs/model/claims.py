"""Claims and settles of unknown outcome. One job; process A is always alive and its lease never lapses; two deliveries in A; another
worker B. A statement is sent, executed by the server at any later time (even after A gave it up), answered or not."""
from engine import check
def model(undecided='retry', reconcile='off', settle='ask', lostsig='before', B=True, timeouts=2, msgs0=1, dup=1, MAXC=3, retries=1, known='flight', step=None):
    """undecided claim: ack | retry (queued only; no row: ack) | drop (message back to the broker, task free)
         | adopt (running under my id and no run of mine knows it: mine) | token (running with this claim's token: mine).
    reconcile (a look at the own running rows): off | once (only right after an undecided claim) | standing.
    known: runs | flight (runs, and claims under way). lostsig: before|after (a run is told lost if it was in the list before the
    look was sent | when the answer came). settle: ask (again under the same fence, 0 rows = decided) | forget | state (again, WHERE state = running)."""
    # row: st, fence, tok (claim's token, 'B' for B) ; task: (pc, fence, tok, told)
    # pc: i idle, w claim sent, y its answer "yes" is on the way, n answer "no", u undecided, r running, s settle sent, e settled-answer on the way, x settle undecided
    # zs: statements at the server that nobody waits for: ('C', tok) / ('S', fence, kind)
    I = ('i', 0, 0, 0)
    init = (('Q', 0, 0), msgs0, (I, I), (), None, None, (timeouts, dup, retries), 0, 0)   # row, msgs, tasks, zombies, look, B, budgets, tokens used, look wanted
    def succ(s):
        row, msgs, ts, zs, look, b, bud, ntok, want = s
        st, fence, tok = row
        to, du, re = bud
        def mk(row=row, msgs=msgs, ts=ts, zs=zs, look=look, b=b, bud=bud, ntok=ntok, want=want):
            return (row, min(msgs, 2), tuple(sorted(ts)), tuple(sorted(zs)), look, b, bud, ntok, want)
        def sett(k, t): return ts[:k] + (t,) + ts[k+1:]
        def two(ts2):
            live = [t for t in ts2 if t[0] in 'rsx']
            if len(live) == 2 and live[0][1] == live[1][1]: return 'two runs under one fence'
            return None
        # relay, broker
        if st == 'P': yield ('relay: pending -> queued, published', 1, mk(row=('Q', fence, 0), msgs=msgs + 1), None)
        if st == 'Q' and msgs == 0: yield ('minutes pass: due_at, published again', 1, mk(msgs=1), None)
        if msgs and du and msgs < 2: yield ('broker: message doubled', 0, mk(msgs=msgs + 1, bud=(to, 0, re)), None)
        # B
        if B and msgs and b is None:
            if st == 'Q' : yield (f'B claims: fence {fence+1}', 1, mk(row=('R', fence + 1, 'B'), msgs=msgs - 1, b=fence + 1), None)
            else: yield ('B: claim gives no row, acks', 1, mk(msgs=msgs - 1), None)
        if b is not None:
            if st == 'R' and fence == b: yield ('B: commits success', 1, mk(row=('S', fence, 0), b=None), None)
            else: yield ('B: LostLease', 1, mk(b=None), 'a job of a living process is taken from it' if st != 'S' else None)
        # zombies execute late, or never
        for k, z in enumerate(zs):
            rest = zs[:k] + zs[k+1:]
            yield (f'server drops the given-up statement {z}', 0, mk(zs=rest), None)
            if z[0] == 'C' and st == 'Q' and fence < MAXC: yield (f'server executes the given-up claim (token {z[1]}): fence {fence+1}', 1, mk(row=('R', fence + 1, z[1]), zs=rest), None)
            elif z[0] == 'S' and st == 'R' and (fence == z[1] or settle == 'state'):
                v = 'a settle of an earlier run ends a later one' if fence != z[1] else None
                yield (f'server executes the given-up settle ({z[2]}, fence {z[1]})', 1, mk(row=(z[2], fence, 0), zs=rest), v)
            else: yield (f'server executes the given-up statement {z}: 0 rows', 1, mk(zs=rest), None)
        # the look at the own running rows (with cancel and lost-lease signals)
        runs = [t for t in ts if t[0] in 'rsx']
        if look is None and (reconcile == 'standing' or (reconcile == 'once' and want)):
            mem = tuple(sorted(t[1] for t in runs))
            yield ('A looks at its running rows (sent)', 1, mk(look=('q', 0, mem), want=0), None)
        if look and look[0] == 'q':
            mine = fence if (st == 'R' and tok != 'B') else 0
            yield (f'server answers: {"fence %d" % mine if mine else "none"}', 1, mk(look=('a', mine, look[2])), None)
        if look and look[0] == 'a':
            mine, mem = look[1], look[2]
            t2 = list(ts); v = None
            for k, t in enumerate(ts):
                if t[0] in 'rsx' and t[1] != mine and (lostsig == 'after' or t[1] in mem):
                    if st == 'R' and fence == t[1]: v = 'a run that owns its row is told that its lease is lost'
                    t2[k] = (t[0], t[1], t[2], 1)
            r2 = row
            isknown = any(t[0] in 'rsx' and t[1] == mine for t in ts)
            if known == 'flight': isknown = isknown or any(t[0] in 'wyu' for t in ts)
            lab = 'A has the answer'
            if mine and not isknown and reconcile != 'off':
                if st == 'R' and fence == mine:
                    r2 = ('P', fence, 0); lab += f': fence {mine} is no run of mine, put back (WHERE fence = {mine})'
                    if any(t[0] == 'y' and t[1] == mine for t in ts): v = 'a claim whose answer is on the way is taken from its own process'
            yield (lab, 1, mk(row=r2, look=None, ts=tuple(t2)), v)
        # tasks
        for k, t in enumerate(ts):
            if k and ts[k-1] == t: continue
            pc, f, tk, told = t
            nm = 'A' + ('' if not f else f'(fence {f})')
            if pc == 'i' and msgs and ntok < MAXC:
                yield (f'A takes a message, sends claim (token {ntok+1})', 1, mk(msgs=msgs - 1, ntok=ntok + 1, ts=sett(k, ('w', 0, ntok + 1, 0))), None)
            if pc == 'w':
                if st == 'Q' and fence < MAXC: yield (f'server executes claim (token {tk}): fence {fence+1}', 1, mk(row=('R', fence + 1, tk), ts=sett(k, ('y', fence + 1, tk, 0))), None)
                elif undecided == 'token' and st == 'R' and tok == tk: yield (f'server: running with token {tk} already', 1, mk(ts=sett(k, ('y', fence, tk, 0))), None)
                else: yield (f'server executes claim (token {tk}): no row', 1, mk(ts=sett(k, ('n', 0, tk, 0))), None)
                if to: yield (f'A gives the claim (token {tk}) up, not executed yet: undecided', 0, mk(zs=zs + (('C', tk),), ts=sett(k, ('u', 0, tk, 0)), bud=(to - 1, du, re), want=1), None)
            if pc in 'yn':
                t2 = sett(k, ('r', f, tk, 0)) if pc == 'y' else sett(k, I)
                yield ('the answer "%s" arrives' % ('claimed, fence %d' % f if pc == 'y' else 'no row') + (': run' if pc == 'y' else ': ack'), 1, mk(ts=t2), two(t2))
                if to: yield (f'the answer is lost: undecided', 0, mk(ts=sett(k, ('u', 0, tk, 0)), bud=(to - 1, du, re), want=1), None)
            if pc == 'u':
                if undecided == 'ack': yield ('A acks the undecided one', 1, mk(ts=sett(k, I)), None)
                if undecided == 'drop': yield ('A gives the message back to the broker', 1, mk(ts=sett(k, I), msgs=msgs + 1), None)
                if undecided in ('retry', 'token'): yield (f'A sends the claim again (token {tk})', 1, mk(ts=sett(k, ('w', 0, tk, 0))), None)
                if undecided == 'adopt':
                    if st == 'R' and tok != 'B' and not any(q[0] in 'rsx' and q[1] == fence for q in ts):
                        t2 = sett(k, ('r', fence, tk, 0))
                        yield (f'A finds the row running under its id, no run knows it: mine, fence {fence}', 1, mk(ts=t2), two(t2))
                    else: yield (f'A sends the claim again (token {tk})', 1, mk(ts=sett(k, ('w', 0, tk, 0))), None)
            if pc == 'r':
                if told: yield (f'{nm} ends locally (told lost)', 1, mk(ts=sett(k, I)), None)
                for kind in 'SP':
                    if kind == 'P' and not re: continue
                    yield (f'{nm} sends settle ({"success" if kind == "S" else "retry"})', 1, mk(ts=sett(k, ('s', f, kind, told)), bud=(to, du, re - (kind == 'P'))), None)
            if pc == 's':
                if st == 'R' and (fence == f or settle == 'state'):
                    v = 'a settle of an earlier run ends a later one' if fence != f else None
                    yield (f'server executes settle ({tk}, fence {f})', 1, mk(row=(tk, fence, 0), ts=sett(k, ('e', f, tk, told))), v)
                else: yield (f'server executes settle (fence {f}): 0 rows', 1, mk(ts=sett(k, ('e', f, tk, told))), None)
                if to: yield (f'{nm} gives its settle up, not executed yet', 0, mk(zs=zs + (('S', f, tk),), ts=sett(k, ('x', f, tk, told)), bud=(to - 1, du, re)), None)
            if pc == 'e':
                yield (f'{nm}: the answer arrives, ack', 1, mk(ts=sett(k, I)), None)
                if to: yield (f'{nm}: the answer to its settle is lost', 0, mk(ts=sett(k, ('x', f, tk, told)), bud=(to - 1, du, re)), None)
            if pc == 'x':
                if settle == 'forget': yield (f'{nm} forgets its undecided settle', 1, mk(ts=sett(k, I)), None)
                else: yield (f'{nm} asks again', 1, mk(ts=sett(k, ('s', f, tk, told))), None)
    goal = lambda s: s[0][0] == 'S'
    return init, succ, goal
def steps(mode, n=2):
    """A checkpoint (step k -> k+1, with business rows) whose commit's outcome is unknown, repeated in place by the same run."""
    init = (0, (0,) * n, 0, 'r', 2)              # checkpoint in the row, how often each step's rows were written, step in hand, pc, lost answers left
    def succ(s):
        cp, done, k, pc, to = s
        if pc == 'r' and k < n: yield (f'run sends step {k+1} + checkpoint', 1, (cp, done, k, 's', to), None)
        if pc == 's':
            if mode == 'cas' and cp != k: yield (f'step {k+1}: the row says {cp} of {n}: reads on from there', 1, (cp, done, cp, 'r', to), None)
            else:
                d = done[:k] + (done[k] + 1,) + done[k+1:]
                v = f'a step whose commit had succeeded is written a second time' if d[k] > 1 else None
                yield (f'step {k+1} commits', 1, (k + 1, d, k + 1, 'r', to), v)
                if to: yield (f'step {k+1} commits, the answer is lost; repeated', 0, (k + 1, d, k, 'r', to - 1), v)
            if to: yield (f'step {k+1} is not executed, no answer; repeated', 0, (cp, done, k, 'r', to - 1), None)
    return init, succ, (lambda s: s[2] == n)
def run(name, *fails, long=False, limit=3_000_000, **kw):
    i, f, g = model(**kw); check(name, i, f, None, g, fails, long, limit)
def runs():
    again = 'a claim of unknown outcome is sent again (queued only); each look puts back what is neither a run nor a claim under way'
    run(again + ': one statement is given up', undecided='retry', reconcile='standing', timeouts=1)
    run(again + ': two are', undecided='retry', reconcile='standing', long=True)
    run('the delivery is given back + the same look', undecided='drop', reconcile='standing', long=True)
    run('a token in the claim + the same look', undecided='token', reconcile='standing', long=True)
    run('even acked + the same look', undecided='ack', reconcile='standing', long=True)
    run('acked', 'STUCK', undecided='ack')
    run('sent again, no look', 'STUCK', undecided='retry')
    run('the delivery is given back, no look', 'STUCK', undecided='drop')
    run('adopts what runs under its id and no run of its own knows', 'two runs under one fence', undecided='adopt')
    run('adopts by the token of the claim, no look', 'STUCK', undecided='token')
    run('one look, right after a claim of unknown outcome', 'STUCK', undecided='drop', reconcile='once', long=True)
    run('the look knows runs, but no claims under way', ('a claim whose answer is on the way'), undecided='retry', reconcile='standing', known='runs', timeouts=0, dup=0)
    run('every run in the list when the answer comes is told that its lease is lost', 'a run that owns its row is told', undecided='retry', reconcile='standing', lostsig='after', timeouts=0, dup=0)
    run('a settle of unknown outcome is forgotten, no look', 'STUCK', settle='forget', timeouts=1)
    run('the same with the look: the work is done twice, nothing is lost', settle='forget', reconcile='standing', timeouts=1)
    run('a settle is sent again WHERE state = running', 'a settle of an earlier run ends a later one', settle='state', reconcile='standing', timeouts=1, dup=0)
    for mode, name, fails in (('cas', 'a step of unknown outcome is repeated from the checkpoint in the row', ()), ('blind', 'it is repeated in place', 'a step whose commit had succeeded')):
        i, f, g = steps(mode); check(name, i, f, None, g, fails)
