"""Who has begun is finished first. Orders begin, wait for a child, are woken, end; the relay moves pending rows in the order of their
place (`run_at`); the broker's queue is first in, first out; one worker. Then: places that are kept, and starvation."""
from engine import check, judge
STARVES = 'STARVES: a cycle in which job B is due and never runs'
def fifo(N=5, keep=True, W=99, lane=False, bound=1, eager=False):
    """keep: a woken job keeps its old place. W: most rows of a queue that are with the broker. lane: woken jobs go to a lane that is served first."""
    # eager: a woken job is moved before anything else happens (the relay is never late)
    # order: (st, overtaken) st: n pending, q with the broker, w waits, p woken, z woken and with the broker, d done ; two FIFO lanes ; wake order
    init = ((('n', 0),) * N, (), (), ())
    def succ(s):
        os_, q, f, woke = s
        def so(k, o): return os_[:k] + (o,) + os_[k+1:]
        pend = [k for k in range(N) if os_[k][0] in 'np']
        if pend and len(q) + len(f) < W:
            if eager and any(os_[k][0] == 'p' for k in pend) and lane: pend = [k for k in pend if os_[k][0] == 'p']
            rank = lambda k: (k if keep else (N + woke.index(k) if os_[k][0] == 'p' else k))
            k = min(pend, key=rank)
            o = os_[k]
            if lane and o[0] == 'p': yield (f'relay: woken order {k} -> first lane', 1, (so(k, ('z', o[1])), q, f + (k,), woke), None)
            else: yield (f'relay: {"woken" if o[0] == "p" else "new"} order {k} -> broker (behind {len(q)})', 1, (so(k, ('q' if o[0] == 'n' else 'z', o[1])), q + (k,), f, woke), None)
        if eager and any(o[0] == 'p' for o in os_) and pend and len(q) + len(f) < W: return
        for src in ('f', 'q'):
            Q = f if src == 'f' else q
            if not Q or (src == 'q' and f): continue
            k = Q[0]; st, ov = os_[k]
            q2, f2 = (q, f[1:]) if src == 'f' else (q[1:], f)
            if st == 'z': yield (f'worker: order {k} ends', 1, (so(k, ('d', 0)), q2, f2, woke), None)
            else:
                o2 = list(os_); o2[k] = ('w', 0); v = None
                for i in range(N):
                    if os_[i][0] in 'pz':
                        o2[i] = (os_[i][0], min(os_[i][1] + 1, bound + 1))
                        if o2[i][1] > bound: v = f'more than {bound} new orders begin while one that has begun is due'
                yield (f'worker: order {k} begins, then waits', 1, (tuple(o2), q2, f2, woke), v)
        for k in range(N):
            if os_[k][0] == 'w': yield (f'order {k}: what it waits for is final, woken', 1, (so(k, ('p', 0)), q, f, tuple(x for x in woke if x != k) + (k,)), None)
    return init, succ, (lambda s: all(o[0] == 'd' for o in s[0]))
def starve(keep, S=2, hot=False, giveback=True, MAX=3):
    """Job B is due the whole time. S others snooze again and again (or, hot: answer wait_for on what is final already). Is there a cycle in which B never runs?"""
    # line: tuple of due jobs in the order of their places (numbers = old places, B = 99); asleep ; attempts (hot)
    init = (tuple(range(S)) + (99,), (), (0,) * S)
    def succ(s):
        line, sleep, att = s
        k = line[0]
        if k == 99: return
        if hot:
            a2 = att if giveback else tuple(a + (i == k) for i, a in enumerate(att))
            if a2[k] > MAX: yield (f'job {k} is exhausted', (line[1:], sleep, att))
            else: yield (f'job {k} runs, wait_for(final), due at once', ((k,) + line[1:] if keep else line[1:] + (k,), sleep, a2))
        else: yield (f'job {k} runs, snoozes', (line[1:], sleep + (k,), att))
        for i, x in enumerate(sleep):
            yield (f'snooze of job {x} is over', (tuple(sorted(line + (x,))) if keep else line + (x,), sleep[:i] + sleep[i+1:], att))
    seen, stack, on = {}, [], set()
    def dfs(s, path):
        seen[s] = 1; on.add(s)
        for lab, t in succ(s):
            if t in on: return path + [lab]
            if t not in seen:
                r = dfs(t, path + [lab])
                if r: return r
        on.discard(s); return None
    c = dfs(init, [])
    return {STARVES: (c, '')} if c else {}, len(seen)
def run(name, *fails, **kw):
    i, f, g = fifo(**kw); check(name, i, f, None, g, fails)
def cycle(name, *fails, **kw):
    viol, states = starve(**kw); judge(name, viol, states, 0, fails)
def runs():
    late = 'more than'
    run('what wakes goes by a lane that is served first, in the order of the waking: none overtakes', lane=True, keep=False, bound=0, eager=True)
    run('the same, in the order of the old places', lane=True, bound=0, eager=True)
    run('it keeps its place, at most 2 rows of a queue are with the broker: at most 2 overtake', W=2, bound=2)
    run('it keeps its place, at most 1 is with the broker: at most 1', W=1, bound=1)
    cycle('a snooze takes a new place', keep=False)
    cycle('a wait_for on what is final gives no attempt back', keep=True, hot=True, giveback=False)
    run('what wakes takes a new place', late, keep=False, eager=True)
    run('it keeps its place (run_at), the broker is first in, first out', late, eager=True)
    run('it takes a new place, at most 1 is with the broker', late, keep=False, W=1, bound=1)
    cycle('a snooze keeps its place', 'STARVES', keep=True)
    cycle('a wait_for on what is final gives the attempt back', 'STARVES', keep=True, hot=True)
