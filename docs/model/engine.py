"""A search over every interleaving of a small model: breadth first, so that the trace of a violation is the shortest one.

A model is a first state and `succ(state)`, which yields (label, fair, next state, violation or None). Edges that are
not fair are faults: a crash, a loss, a freeze. A model with a goal must be able to reach it without further faults from
every state that it can get into; a state from which it can't is STUCK.
"""
import sys
import time
from array import array
from collections import deque

STUCK = 'STUCK: without further faults it can never be finished'

ALL = False      # the long runs, too
TRACES = False   # print the shortest trace of each violation
runs = wrong = 0


def check(name, init, succ, inv=None, goal=None, fails=(), long=False, limit=3_000_000):
    """Runs a model and judges it. `fails`: beginnings of the violations that it must have; none: it must hold.
    A model that must fail is searched until it has; what a NOTE says is a fact and no violation."""
    global runs
    if long and not ALL:
        return
    fails = (fails,) if isinstance(fails, str) else tuple(fails)
    start = time.time()
    viol, states, whole = explore(init, succ, inv, goal, fails, limit)
    judge(name, viol, states, time.time() - start, fails, whole)


def judge(name, viol, states, seconds, fails=(), whole=True):
    """Prints a line about a run, and counts it."""
    global runs, wrong
    runs += 1
    found = {v: t for v, t in viol.items() if not v.startswith('NOTE')}
    other = [v for v in found if not v.startswith(fails)] if fails else list(found)
    missing = [f for f in fails if not any(v.startswith(f) for v in found)]
    good = not other and not missing and (whole or fails)
    word = 'holds' if good and not fails else 'fails as it must' if good else 'WRONG'
    print(f'  {word:16} {states:>9,} states {seconds:5.1f} s  {name}')
    if not good:
        wrong += 1
        for m in missing: print(f'      not found: {m}')
        if not whole and not fails: print('      the search was cut off')
    for v, (trace, state) in viol.items():
        if v in other or fails: print(f'      {v}, after {len(trace)} steps')
        if v in other or TRACES:
            for k, step in enumerate(trace, 1): print(f'        {k:2d}. {step}')
            if v in other: print(f'        state: {state}')
    sys.stdout.flush()


def explore(init, succ, inv, goal, fails, limit):
    """Returns the violations with their traces, the number of states, and whether all were seen."""
    idx = {init: 0}; states = [init]; par = [-1]; lab = ['']
    src, dst = array('i'), array('i')
    viol, i, whole = {}, 0, True
    early = [f for f in fails if not f.startswith('STUCK')] if not any(f.startswith('STUCK') for f in fails) else None
    def trace(k):
        out = []
        while k > 0:
            out.append(lab[k]); k = par[k]
        return out[::-1]
    if inv:
        for v in inv(init): viol.setdefault(v, ([], init))
    while i < len(states):
        if early and viol and all(any(v.startswith(f) for v in viol) for f in early):
            return viol, len(states), False
        s = states[i]
        for label, fair, s2, v in succ(s):
            if v and v not in viol: viol[v] = (trace(i) + [label], s2)
            if s2 is None: continue
            j = idx.get(s2)
            if j is None:
                j = len(states)
                if j >= limit: whole = False; continue
                idx[s2] = j; states.append(s2); par.append(i); lab.append(label)
                if inv:
                    for v in inv(s2):
                        if v not in viol: viol[v] = (trace(j), s2)
            if fair and j != i: src.append(i); dst.append(j)
        i += 1
    if goal and whole:
        k = first_stuck(states, src, dst, goal)
        if k is not None: viol[STUCK] = (trace(k), states[k])
    return viol, len(states), whole


def first_stuck(states, src, dst, goal):
    """The first state from which no fair path leads to the goal."""
    n = len(states)
    head = array('i', [-1]) * n; nxt = array('i', [-1]) * len(src)
    for e in range(len(src)):
        nxt[e] = head[dst[e]]; head[dst[e]] = e
    ok = bytearray(n); q = deque()
    for k in range(n):
        if goal(states[k]): ok[k] = 1; q.append(k)
    while q:
        e = head[q.popleft()]
        while e != -1:
            p = src[e]
            if not ok[p]: ok[p] = 1; q.append(p)
            e = nxt[e]
    return next((k for k in range(n) if not ok[k]), None)
