"""One job, the relay, a broker that loses and doubles messages, two workers that may freeze or crash. A lapse may come at any
time (`lease` says when it does), and a confirm writes nothing (`relay` has what is written back). The row lock of a business transaction
is modelled."""
from engine import check
FINAL = ('S', 'F', 'C')
# row: st, fence, att, due, rep ; worker: (pc, fence, serial, valid, frozen)
def model(MAX=3, snooze=1, redrive=1, putback=0, idle_timeout=True, freeze=True, born=False,
          claim_accepts_pending=False, attempt_is_fence=False,
          drop_republish=False, early_ack=False, MCAP=2, TCAP=2, NW=2):
    IDLE = ('i', 0, 0, 0, 0)
    row0 = ('-', 0, 0, 1, 0) if born else ('P', 0, 0, 1, 0)
    # state: row, msgs, pub, workers, burnt, acc, serial, budgets(sn, rd, pb)
    init = (row0, 0, (), (IDLE,) * NW, 0, (0, 0), 0, (snooze, redrive, putback))
    def add(tok, t): return tuple(sorted(tok + (t,))) if len(tok) < TCAP else tok
    def rem(tok, k): return tok[:k] + tok[k+1:]
    def succ(s):
        row, msgs, pub, ws, burnt, acc, ser, bud = s
        st, fence, att, due, rep = row
        sn, rd, pb = bud
        locked = any(w[0] == 't' for w in ws)
        def mk(row=row, msgs=msgs, pub=pub, ws=ws, burnt=burnt, acc=acc, ser=ser, bud=bud):
            return (row, min(msgs, MCAP), pub, tuple(sorted(ws)), burnt, acc, ser, bud)
        def setw(k, w): return ws[:k] + (w,) + ws[k+1:]
        def inval(ws_): return tuple((a, b, c, 0, e) for (a, b, c, d, e) in ws_)
        def ret(label, fair, s2, v=None):
            n = s2[0][0]
            if st in FINAL and n != st and not label.startswith('operator'): v = v or 'final state changed'
            if s2[4] > MAX: v = v or 'more than max_attempts burnt'
            return (label, fair, s2, v)
        # enqueue: born queued
        if st == '-':
            yield ret('enqueue: INSERT queued, due_at a minute ahead, commit; handed to own relay', 1,
                      mk(row=('Q', 0, 0, 1, 0), pub=add(pub, (0, 0))))
            yield ret('enqueue: commit, then crash before the hand-over', 0, mk(row=('Q', 0, 0, 1, 0)))
        # timers
        if st == 'P' and not due: yield ret('time: run_at passes', 1, mk(row=(st, fence, att, 1, rep)))
        if st == 'Q' and not rep and not drop_republish:
            yield ret('time: due_at passes', 1, mk(row=(st, fence, att, due, 1)))
        # relay
        if (st == 'P' and due) or (st == 'Q' and rep):
            yield ret(f'relay: row -> queued (fence {fence}), due_at a minute ahead', 1,
                      mk(row=('Q', fence, att, 1, 0), pub=add(pub, (fence, 0))))
            yield ret(f'relay: row -> queued (fence {fence}), relay crashes before publish', 0,
                      mk(row=('Q', fence, att, 1, 0)))
        for k, t in enumerate(pub):
            if k and pub[k-1] == t: continue
            yield ret(f'relay: publish (fence {t[0]})', 1, mk(pub=rem(pub, k), msgs=msgs + 1))
            yield ret(f'relay: crash with the message unsent (fence {t[0]})', 0, mk(pub=rem(pub, k)))
        # broker adversary
        if msgs: yield ret('broker: message lost', 0, mk(msgs=msgs - 1))
        if 0 < msgs < MCAP: yield ret('broker: message doubled', 0, mk(msgs=msgs + 1))
        # lease lapse: any time after claim; one statement; waits for the row lock
        if st == 'R' and not locked:
            n = 'F' if att >= MAX else 'P'
            yield ret(f'lease of fence {fence} lapses -> {"failed (crashed)" if n == "F" else "pending, backoff"}', 1,
                      mk(row=(n, fence, att, 0, 0), burnt=burnt + 1, ws=inval(ws)))
        if st == 'F' and rd:
            yield ret('operator: redrive', 0, mk(row=('P', fence, 0, 1, 0), burnt=0, bud=(sn, 0, pb)))
        frozen_n = sum(w[4] for w in ws)
        for k, w in enumerate(ws):
            if k and ws[k-1] == w: continue
            pc, wf, wser, valid, frozen = w
            nm = f'worker(fence {wf})' if pc in 'rt' else 'worker'
            if pc != 'i':
                yield ret(f'{nm} crashes [{pc}]', 0, mk(ws=setw(k, IDLE), msgs=msgs + 1))
                if early_ack and pc in 'rt': yield ret(f'{nm} crashes; its delivery was acked when it outlived its time-out', 0, mk(ws=setw(k, IDLE)))
            if frozen:
                yield ret(f'{nm} thaws [{pc}]', 0, mk(ws=setw(k, (pc, wf, wser, valid, 0))))
                if pc == 't' and idle_timeout:
                    yield ret(f'database ends the idle transaction of frozen {nm}', 1, mk(ws=setw(k, ('r', wf, wser, valid, 1))))
                continue
            if freeze and pc in 'rt' and frozen_n == 0:
                yield ret(f'{nm} freezes [{"inside its transaction, row locked" if pc == "t" else "no transaction"}]', 0,
                          mk(ws=setw(k, (pc, wf, wser, valid, 1))))
            if pc == 'i' and msgs:
                yield ret('worker takes a message', 1, mk(msgs=msgs - 1, ws=setw(k, ('h', 0, 0, 0, 0))))
            elif pc == 'h' and not locked:
                if st == 'Q' or (claim_accepts_pending and st == 'P'):
                    nf = att + 1 if attempt_is_fence else fence + 1
                    v = None if due else 'claimed while in backoff'
                    yield ret(f'worker claims: fence {nf}, attempt {att+1}', 1,
                              mk(row=('R', nf, att + 1, 1, 0), ws=setw(k, ('r', nf, ser + 1, 1, 0)), ser=ser + 1), v)
                    if pb and st == 'Q':
                        yield ret('old worker: unknown kind, row back to pending +30s', 0,
                                  mk(row=('P', fence + 1, att, 0, 0), ws=setw(k, ('d', 0, 0, 0, 0)), bud=(sn, rd, pb - 1)))
                else:
                    yield ret('worker: claim returns no row', 1, mk(ws=setw(k, ('d', 0, 0, 0, 0))))
            elif pc == 'r' and not locked:
                mine = st == 'R' and fence == wf
                if not mine:
                    yield ret(f'{nm}: write refused, LostLease', 1, mk(ws=setw(k, ('d', 0, 0, 0, 0))))
                else:
                    bad = None if valid else 'a write by a stale worker is accepted'
                    yield ret(f'{nm}: business transaction locks own row', 1, mk(ws=setw(k, ('t', wf, wser, valid, 0))), bad)
                    n = 'F' if att >= MAX else 'P'
                    yield ret(f'{nm}: handler fails -> {n}', 0, mk(row=(n, fence, att, 0, 0), burnt=burnt + 1,
                              ws=inval(setw(k, ('d', 0, 0, 0, 0)))), bad)
                    if sn:
                        for d, t in ((0, 'snooze'), (1, 'shutdown release')):
                            yield ret(f'{nm}: {t}, attempt given back', 0, mk(row=('P', fence, att - 1, d, 0),
                                      ws=inval(setw(k, ('d', 0, 0, 0, 0))), bud=(sn - 1, rd, pb)), bad)
            elif pc == 't':
                bad = None if (valid and st == 'R' and fence == wf) else 'a write by a stale worker is accepted'
                if acc[0] == fence and acc[1] != wser: bad = 'two workers wrote under one fence'
                a2 = (fence, wser)
                yield ret(f'{nm}: commits a step', 1, mk(ws=setw(k, ('r', wf, wser, valid, 0)), acc=a2), bad)
                yield ret(f'{nm}: commits success', 1, mk(row=('S', fence, att, 0, 0), ws=inval(setw(k, ('d', 0, 0, 0, 0))), acc=a2), bad)
            elif pc == 'd':
                yield ret('worker acks', 1, mk(ws=setw(k, IDLE)))
    return init, succ
goal = lambda s: s[0][0] in FINAL
def run(name, *fails, long=False, limit=3_000_000, **kw):
    i, f = model(**kw); check(name, i, f, None, goal, fails, long, limit)
def runs():
    run('a worker may freeze in a transaction, which the database ends (idle_in_transaction_session_timeout)', MCAP=1, TCAP=1)
    run('messages doubled and late', snooze=0, redrive=0, freeze=False)
    run('born queued, crash at any time', born=True, snooze=0, redrive=0, TCAP=1, long=True)
    run('a job of an unknown kind is put back', MAX=2, snooze=0, redrive=0, putback=1, MCAP=1, freeze=False)
    run('a run that outlives its time-out is acked before its outcome is written', MAX=2, early_ack=True, snooze=0, redrive=0, MCAP=1, TCAP=1)
    run('all at once: freezes, messages doubled and late, snooze or release', redrive=0, long=True)
    run('the frozen worker keeps the lock of its row', 'STUCK', idle_timeout=False, MCAP=1, TCAP=1, snooze=0)
    run('a claim takes pending jobs, too', 'claimed while in backoff', MAX=2, snooze=0, redrive=0, claim_accepts_pending=True, MCAP=1, TCAP=1, freeze=False)
    run('the attempt is the fence', 'two workers wrote under one fence', MAX=2, redrive=0, attempt_is_fence=True, MCAP=1, TCAP=1, freeze=False)
    run('what was published once is never published again', 'STUCK', MAX=1, snooze=0, redrive=0, drop_republish=True, MCAP=1, TCAP=1, freeze=False)
