"""How attempts are counted."""
from engine import check
MAX = 3
def model(reset=0, giveback='wake', clamp=False, CP=2):
    # st, att, burnt(ghost: failed or crashed tries since the last checkpoint), due checkpoints left, budgets
    init = ('P', 0, 0, CP, 2)
    def succ(s):
        st, att, b, cp, sn = s
        gb = max(att - 1, 0) if clamp else att - 1
        if st == 'P': yield ('claim: attempt+1', 1, ('R', att + 1, b, cp, sn), None)
        if st == 'R':
            yield ('succeeds', 1, ('S', att, b, cp, sn), None)
            for l in ('fails', 'lease lapses'):
                yield (l, 0, ('F' if att >= MAX else 'P', att, b + 1, cp, sn), None)
            if cp: yield (f'checkpoint: attempt := {reset}', 0, ('R', reset, 0, cp - 1, sn), None)
            if sn:
                yield ('snooze: attempt-1', 0, ('P', gb, b, cp, sn - 1), None)
                yield ('shutdown release: attempt-1', 0, ('P', gb, b, cp, sn - 1), None)
                yield ('waits' + (': attempt-1' if giveback == 'leave' else ''), 0, ('W', gb if giveback == 'leave' else att, b, cp, sn - 1), None)
        if st == 'W':
            a = att if giveback == 'leave' else gb
            yield ('woken by the last awaited job' + ('' if giveback == 'leave' else ': attempt-1'), 1, ('P', a, b, cp, sn), None)
            yield ('made due by cancel (no word of giving back)', 1, ('P', att, b, cp, sn), None)
    def inv(s):
        st, att, b, cp, sn = s
        if att < 0: yield 'attempt below zero'
        if st == 'P' and att < b: yield 'attempt below the tries really burnt: more than max_attempts are made'
        if st == 'P' and att > b and att >= 0: yield 'attempt above the tries really burnt: an innocent loses one'
        if st == 'P' and att >= MAX: yield 'pending with attempt = max_attempts'
        if b > MAX: yield 'more than max_attempts burnt'
    return init, succ, inv, (lambda s: s[0] in 'SF')
def run(name, *fails, **kw):
    i, f, v, g = model(**kw); check(name, i, f, v, g, fails)
def runs():
    run('a checkpoint sets the attempt to 1; the statement that leaves `running` gives one back', reset=1, giveback='leave')
    run('a checkpoint sets it to 0, one is given back at the wake', 'attempt below', 'attempt above', reset=0, giveback='wake')
    run('a checkpoint sets it to 0, never below 0', 'attempt below', reset=0, giveback='leave', clamp=True)
    run('a checkpoint sets it to 1, one is given back at the wake', 'attempt above', reset=1, giveback='wake')
