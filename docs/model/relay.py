"""The relay. One transaction takes what is due and sets `due_at` a minute ahead (`published` + 1); a confirm and a claim leave it; what
failed or came back is written back. A look that meets what runs moves its `due_at` on, and one that meets a paused queue's row puts it
off to a far time, once. One row, two relays (each may lose its link or die), a broker that loses and returns messages, two
workers; retry, lapse, redrive, cancel, pause."""
from engine import check
FIN = 'SC'
def model(back='fence', effect='near', guard_link=True, ahead=True, dec=True, returns=1, die=1, unroutable=False, redrive=0, retries=1, pause=0, cancel=0, MCAP=1, confirm='none', drops=1, anew=1, ghost=False, LOOP=6):
    """back: fence (WHERE id AND state = queued AND fence) | state (no fence) | none (WHERE id).
    effect: near (due_at = least(due_at, now + a delay that grows); for a broken link: now) | now (always now)
          | set (due_at = now + 15 s, not the least) | pending (state = pending)
    ahead: False = the take does not move due_at. dec: the write-back also takes the count back."""
    # row: st, fence, due_at (0 minutes away, 1 due, 2 seconds or a run_at away, 3 far away, None), pub ; hands/backs: sorted tuple of (fence, relay) ; links: u up, d down unknown to the relay, k known
    init = (('P', 0, 1, 0), 0, (), (), ('u', 'u'), (0, 0), (returns, die, redrive, retries, pause, cancel, drops, anew), 0, 0, 0, 0)
    # ..., workers' fences (0 idle), budgets, paused, burst, conf (confirmed in this stay), died (a relay died in this stay)
    def succ(s):
        row, msgs, hands, backs, links, ws, bud, paused, burst, conf, died = s
        st, fence, rep, pub = row
        nr, nd, nre, nrt, npz, nc, ndr, nan = bud
        def mk(row=row, msgs=msgs, hands=hands, backs=backs, links=links, ws=ws, bud=bud, paused=paused, burst=burst, conf=conf, died=died):
            return (row, min(msgs, MCAP), tuple(sorted(hands)), tuple(sorted(backs)), links, tuple(sorted(ws)), bud, paused, min(burst, LOOP), min(conf, 1) if ghost else 0, died if ghost else 0)
        def b(i, x=-1): return tuple(v + x if k == i else v for k, v in enumerate(bud))
        def lnk(i, x): return tuple(x if k == i else l for k, l in enumerate(links))
        # time
        if st in 'QR' and rep == 0: yield ('minutes pass: due_at passes', 1, mk(row=(st, fence, 1, pub), burst=0), None)
        if rep == 2: yield ('seconds pass', 1, mk(row=(st, fence, 1, pub), burst=0), None)
        # take
        for r in (0, 1):
            if rep == 1 and not (guard_link and links[r] == 'k'):
                if st == 'R': yield (f'relay {r+1} finds that it runs: due_at an hour ahead', 1, mk(row=(st, fence, 0, pub)), None)
                elif paused: yield (f'relay {r+1} finds its queue paused: put off', 1, mk(row=(st, fence, 3, pub)), None)
            if rep == 1 and st in 'PQ' and not paused and not (guard_link and links[r] == 'k') and len(hands) + len(backs) < 2:
                new = st == 'P'
                p2 = min((0 if new else pub) + 1, 3) if ghost else 0
                v = None
                if burst >= LOOP: v = 'hot loop: published again and again with no time between'
                if ghost and p2 >= 3 and (0 if new else conf) == 0 and not died and not hands and not backs: v = 'its next look is an hour away though no publish was ever confirmed'
                yield (f'relay {r+1} takes the row (fence {fence}): queued, due_at a minute ahead, publishes {p2}', 1,
                       mk(row=('Q', fence, 0 if ahead else 1, p2), hands=hands + ((fence, r),), burst=burst + 1, conf=0 if new else conf, died=0 if new else died), v)
        for k, (f, r) in enumerate(hands):
            if k and hands[k-1] == hands[k]: continue
            h2 = hands[:k] + hands[k+1:]
            if links[r] == 'u':
                ok = not unroutable
                if ok:
                    r2 = row
                    v = None
                    if confirm == 'blind' and st == 'Q': r2 = (st, fence, 0, pub); v = 'a late confirm pushes a due row away' if rep == 1 and f != fence else None
                    yield (f'relay {r+1} publishes (fence {f}), confirmed: nothing is written', 1, mk(row=r2, hands=h2, msgs=msgs + 1, conf=conf + (f == fence)), v)
                    yield (f'relay {r+1} publishes (fence {f}), no confirm comes', 0, mk(hands=h2, msgs=msgs + 1, backs=backs + ((f, r, 'c'),))) + (None,)
                if nr or unroutable: yield (f'relay {r+1} publishes (fence {f}): returned or nacked', 1 if unroutable else 0, mk(hands=h2, backs=backs + ((f, r, 'c'),), bud=b(0) if not unroutable else bud), None)
            else:
                yield (f'relay {r+1} cannot publish (fence {f}): its link is down', 1, mk(hands=h2, backs=backs + ((f, r, 'l'),), links=lnk(r, 'k')), None)
            if nd: yield (f'relay {r+1} dies with the row in hand (fence {f})', 0, mk(hands=h2, bud=b(1), died=1), None)
        for r in (0, 1):
            if links[r] == 'u' and ndr: yield (f'link of relay {r+1} breaks', 0, mk(links=lnk(r, 'd'), bud=b(6)), None)
            if links[r] in 'dk' : yield (f'link of relay {r+1} is back', 1, mk(links=lnk(r, 'u')), None)
        # write-back
        for k, (f, r, why) in enumerate(backs):
            if k and backs[k-1] == backs[k]: continue
            k2 = backs[:k] + backs[k+1:]
            hit = back == 'none' and rep is not None or st == 'Q' and (back == 'state' or f == fence)
            v, r2 = None, row
            if hit:
                p2 = max(pub - 1, 0) if dec else pub
                if effect == 'pending': r2 = ('P', fence, 1, p2)
                elif effect == 'now' or (effect == 'near' and why == 'l'): r2 = (st, fence, 1, p2)
                elif effect == 'near': r2 = (st, fence, 1 if rep == 1 else 2, p2)
                elif effect == 'set':
                    r2 = (st, fence, 2, p2)
                    if rep == 1: v = 'a late write-back pushes a due row away'
                if st == 'P' and rep == 2 and r2[2] == 1: v = 'a retry or snooze ends before its time'
                if st == 'R' and r2[0] != 'R': v = 'a running job is taken from its worker by a write-back'
                if st in FIN and r2[0] != st: v = 'final state changed'
            yield (f'relay {r+1} writes back (fence {f}): {"0 rows" if not hit else "sooner" if r2[0] == st else "pending"}', 1, mk(row=r2, backs=k2), v)
            if nd: yield (f'relay {r+1} dies before its write-back (fence {f})', 0, mk(backs=k2, bud=b(1), died=1), None)
        # broker
        if msgs: yield ('broker: message lost', 0, mk(msgs=msgs - 1, died=1), None)
        if st == 'Q' and rep != 1 and nan: yield ('queue made anew: its rows are due at once', 0, mk(row=(st, fence, 1, pub), msgs=0, died=1, bud=b(7)), None)
        # workers
        for k, w in enumerate(ws):
            if k and ws[k-1] == w: continue
            w2 = lambda x: ws[:k] + (x,) + ws[k+1:]
            if w == 0 and msgs:
                if st == 'Q': yield (f'worker claims: fence {fence+1}', 1, mk(row=('R', fence + 1, rep, 0), msgs=msgs - 1, ws=w2(fence + 1)), None)
                else: yield ('worker: no row, ack', 1, mk(msgs=msgs - 1), None)
            if w:
                if not (st == 'R' and fence == w): yield (f'worker (fence {w}): LostLease', 1, mk(ws=w2(0)), None)
                else:
                    yield (f'worker (fence {w}): success', 1, mk(row=('S', fence, None, 0), ws=w2(0)), None)
                    if nrt:
                        yield (f'worker (fence {w}): retry or snooze', 0, mk(row=('P', fence, 2, 0), ws=w2(0), bud=b(3)), None)
                        yield (f'lease of fence {w} lapses (worker frozen)', 0, mk(row=('P', fence, 2, 0), bud=b(3)), None)
                        if nre: yield (f'worker (fence {w}): fails for good; operator redrives', 0, mk(row=('P', fence, 1, 0), ws=w2(0), bud=b(2)), None)
        if nc and st in 'PQ' and fence == 0: yield ('client cancels: never run', 0, mk(row=('C', fence, None, 0), bud=b(5)), None)
        if npz and not paused: yield ('operator pauses the queue', 0, mk(paused=1, bud=b(4)), None)
        if paused: yield ('operator resumes', 1, mk(row=(st, fence, 1 if rep == 3 else rep, pub), paused=0, burst=0), None)
    goal = lambda s: s[0][0] in FIN
    return init, succ, goal
def run(name, *fails, long=False, limit=1_500_000, **kw):
    i, f, g = model(**kw); check(name, i, f, None, None if kw.get('unroutable') else g, fails, long, limit)
def runs():
    run('a minute ahead at the take, nothing at the confirm; written back by state and fence, only ever nearer', long=True)
    run('the same, nobody dies', die=0)
    run('the same with pause, cancel and redrive instead of a broken link and a new queue', drops=0, anew=0, die=0, pause=1, cancel=1, redrive=1)
    run('the count of publishes is taken back', ghost=True, returns=3, die=0, drops=0, retries=0)
    run('written back by state, without the fence: can only bring nearer', back='state', anew=0, long=True)
    run('an unroutable queue, with a growing delay', unroutable=True, die=0, drops=0, anew=0, retries=0)
    run('an unroutable queue, written back as due now', 'hot loop', effect='now', unroutable=True, die=0, drops=0, anew=0, retries=0)
    run('written back as pending', 'hot loop', effect='pending', anew=0, die=0)
    run('written back by the id alone', 'a retry or snooze ends', back='none', anew=0, die=0)
    run('written back as pending, by the id alone', 'a running job is taken', effect='pending', back='none', anew=0, die=0, drops=0, retries=0)
    run('written back as 15 s from now, later or not', 'a late write-back pushes', effect='set', die=0)
    run('the count of publishes stays', 'its next look is an hour away', dec=False, ghost=True, returns=3, die=0, drops=0, retries=0)
    run('a relay takes rows though it knows that its link is down', 'hot loop', guard_link=False, die=0, anew=0)
    run('the take does not move due_at', 'hot loop', ahead=False, die=0, anew=0)
    run('a confirm writes, without the fence', 'a late confirm pushes', confirm='blind', die=0)
