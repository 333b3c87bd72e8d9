"""An owner's share of a lane: so many that are queued or run; what is due above it is parked, and promoted when there is room. Pauses,
write-backs and cancels work on the same two columns, `due_at` and `parked`. One owner, one lane, a share of one; statement by statement."""
from engine import check
import statements
OVER = 'SC'
NOW, MINUTE, LATER, FAR = 'now', 'in a minute', 'at its run_at', 'far'   # due_at
PARKED, DUE = ('P', 0, 0, 0, None, 1), ('P', 0, 0, 0, NOW, 0)
def model(n=2, share=1, sweep=True, more='own', look='skip', promote='skip', ahead=False, park='due', put_back='full', flagged='row', cancel='full', begun_parked='due',
          write_back='both', back='sweep', count='out', wake='due', first=None, born=True,
          retries=0, fails=0, waits=0, cancels=0, has_begun=False, pauses=0, dies=0, returns=0, lost=0, awaits=0, most=2, looks=1, clock=True):
    """more: whoever makes room looks for what is parked in its own statement | next (in the next one). sweep: promotes now and then.
    look: skip (locks, skipping what is locked, and goes by what it locked) | ids (goes by the ids that it saw).
    promote: skip | wait (for each row) | ids (UPDATE WHERE id IN (SELECT …), which does not ask itself whether the row is parked) | publish (to queued, instead of due).
    ahead: the last job is for later. park: due (what is due above the share) | all (what is for later, too).
    put_back (retry, snooze, lapse): full | keep (due_at stays) | null. flagged: whether it is to be cancelled is asked of the row | seen (before).
    cancel (never ran): full (due_at and parked null) | keep. begun_parked (cancel of one that has begun and is parked): due (and not parked) | both (due, parked stays).
    write_back: both (WHERE queued AND fence) | state | fence | id. back (what a pause put off): sweep (the end of the pause, and a sweep) | once (the end of the pause).
    count: out (queued, running) | due (all that have a due_at) | none. born: who has room is born queued."""
    pause = n                            # the row of the queue
    rows0 = tuple(first or [('-', 0, 0, 0, None, 0)] * n) + (0,)
    # row: state, fence, to be cancelled, its run_at is ahead, due_at, parked
    def out(v): return sum(v.read(k)[0] in 'QR' if count == 'out' else v.read(k)[4] is not None for k in range(n))
    def room(v):
        places = 9 if count == 'none' else share - out(v)
        held = sum(v.read(k)[0] in 'QR' or v.read(k)[4] in (NOW, MINUTE) for k in range(n))
        if places <= 0 and held < share: v.bad = 'what sleeps holds the share of its owner'
        return places
    def parked(v): return any(v.read(k)[5] for k in range(n))
    def enqueue(v, k):
        if v.at == 0:
            places = room(v); v.note = f'begins, {places} free' + (', paused' if v.read(pause) else '')
            v.go(1, places > 0, v.read(pause)); return
        free, paused = v.known; v.lock(k); later = int(ahead and k == n - 1)
        if later and not (park == 'all' and not free): v.write(k, ('P', 0, 0, 1, LATER, 0)); v.note = 'for later'; v.commit()
        elif paused: v.write(k, DUE); v.note = 'due'; v.commit()
        elif not free: v.write(k, ('P', 0, 0, later, None, 1)); v.note = 'parked'; v.commit()
        elif not born: v.write(k, DUE); v.note = 'due'; v.commit()
        else: v.write(k, ('Q', 0, 0, 0, MINUTE, 0)); v.note = 'queued'; v.commit(('publish', ((k, 0),)))
    def take(v, _):
        if v.at == 0:
            found = tuple(k for k in range(n) if v.read(k)[4] == NOW)
            v.note = f'sees {found}'; v.go(1, found, tuple(v.read(k) for k in found))
        elif v.at == 1:
            found, seen = v.known; locked = ()
            for k in found:
                if look == 'ids': v.lock(k); locked += (k,)
                elif v.skip_locked(k) and v.read(k)[4] == NOW: locked += (k,)
            v.note = f'has locked {locked}'; v.go(2, locked, tuple(dict(zip(found, seen))[k] if look == 'ids' else v.read(k) for k in locked))
        elif v.at == 2:
            places, paused, go = room(v), v.read(pause), ()
            for k, (st, f, c, a, d, p) in zip(*v.known):
                if st == 'R': v.write(k, (st, f, c, a, MINUTE, p))
                elif paused: v.write(k, (st, f, c, a, FAR, p))
                elif st == 'Q' or places > 0:
                    places -= st == 'P'; go += ((k, f),); v.write(k, ('Q', f, c, a, MINUTE, p))
                    if a: v.bad = 'published before its run_at'
                else: v.write(k, (st, f, c, a, None, 1))
            v.note = f'moves {tuple(k for k, _ in go)}'; v.go(3, go)
        else: v.note = 'commit'; v.commit(('publish', v.known[0]) if v.known[0] else None)
    def promotes(v, _):
        def one(k):
            st, f, c, a, d, p = v.read(k)
            if promote != 'ids' and not p: return ()
            if promote != 'publish': v.write(k, (st if promote != 'ids' else 'P', f, c, a, NOW, 0)); return ()
            if v.known[2]: v.bad = 'published although its queue is paused'
            if a: v.bad = 'published before its run_at'
            v.write(k, ('Q', f, c, a, MINUTE, 0)); return ((k, f),)
        if v.at == 0:
            places, found = room(v), tuple(k for k in range(n) if v.read(k)[5])
            if not found or places <= 0:
                if not found: v.bad = None
                v.nothing('nothing, or no room'); return
            v.note = f'sees {found}, {places} free'; v.go(1, found, places, v.read(pause), ())
        elif v.at == 1:
            found, places, paused, go = v.known
            if promote in ('skip', 'publish'):
                for k in found:
                    if places > 0 and v.skip_locked(k) and v.read(k)[5]: places -= 1; go += one(k)
                found = ()
            else:
                v.lock(found[0]); go += one(found[0]); places -= 1; found = found[1:] if places > 0 else ()
            v.note = 'promotes'; v.go(1 if found else 2, found, places, paused, go)
        else: v.note = 'commit'; v.commit(('publish', v.known[3]) if v.known[3] else None)
    def settle(v, argument):
        k, f, to = argument
        if v.at == 0: v.note = 'begins'; v.go(1, parked(v), v.read(k)[2])
        elif v.at == 1:
            st, fence, c, a, d, p = v.lock(k)
            if (st, fence) != ('R', f): v.nothing(); return
            undo = c if flagged == 'row' else v.known[1]
            to = 'P' if to == 'W' and c else to
            due = None if to != 'P' else NOW if undo else {'full': LATER, 'keep': d, 'null': None}[put_back]
            v.write(k, (to, f, c, int(to == 'P' and not undo), due, p)); v.note = f'UPDATE -> {to}'; v.go(2, v.known[0])
        else: v.note = 'commit'; v.commit(('promote',) if v.known[0] or more == 'next' else None)
    def cancels_(v, k):
        if v.at == 0: v.note = 'begins'; v.go(1, parked(v))
        elif v.at == 1:
            st, f, c, a, d, p = v.lock(k)
            if st in 'SCF': v.nothing(); return
            if not f: v.write(k, ('C', 0, c, 0) + ((None, 0) if cancel == 'full' else (d, p))); v.note = 'UPDATE -> cancelled'
            elif st in 'QR': v.write(k, (st, f, 1, a, d, p)); v.note = 'UPDATE: to be undone'
            else: v.write(k, ('P', f, 1, 0, NOW, p if begun_parked == 'both' else 0)); v.note = 'UPDATE: to be undone, due'
            v.go(2, v.known[0])
        else: v.note = 'commit'; v.commit(('promote',) if v.known[0] else None)
    def writes_back(v, argument):
        k, f = argument
        if v.at == 0: v.note = 'begins'; v.go(1); return
        st, fence, c, a, d, p = v.lock(k)
        if not dict(both=st == 'Q' and f == fence, state=st == 'Q', fence=f == fence, id=True)[write_back] or d == NOW: v.nothing(); return
        if d == LATER: v.bad = 'a word of a message brings a run_at nearer'
        v.write(k, (st, fence, c, a, NOW, p)); v.note = 'due'; v.commit()          # least(NULL, x) is x
    def brings_back(v, ends):
        if v.at == 0:
            if ends: v.lock(pause); v.write(pause, 0)
            v.note = 'sees what was put off'; v.go(1, tuple(k for k in range(n) if v.read(k)[4] == FAR and not v.read(pause)))
        else:
            for k in v.known[0]:
                if v.skip_locked(k) and v.read(k)[4] == FAR: v.write(k, v.read(k)[:4] + (NOW, v.read(k)[5]))
            v.note = 'commit'; v.commit()
    def waits_for_all(v, _):             # a run that begins to wait says so in the rows that it waits for, newest first
        if v.at < n: v.lock(n - 1 - v.at); v.note = f'locks {n - 1 - v.at}'; v.go(v.at + 1)
        else: v.note = 'commit'; v.commit()
    def moves(old, new):
        def program(v, k):
            row = v.lock(k)
            if row[0] != old: v.nothing()
            else: v.write(k, ('P', row[1], row[2], 0, new, 0)); v.note = 'UPDATE'; v.commit()
        return program
    programs = dict(enqueue=enqueue, look=take, promote=promotes, settle=settle, cancel=cancels_, write_back=writes_back, bring_back=brings_back,
                    begin_to_wait=waits_for_all, redrive=moves('F', NOW), wake=moves('W', NOW if wake == 'due' else None))
    def broken(rows):
        for k in range(n):
            st, f, c, a, d, p = rows[k]
            if d and p: return 'parked and due'
            if st in 'PQR' and not d and not p: return 'LOST: unfinished, and neither due nor parked'
            if st in 'SCFW' and (d or p): return 'over or waiting, and due or parked'
            if st in 'QR' and p: return 'queued or running, and parked'
            if st == 'P' and c and d == LATER: return 'one that is to be undone waits for its run_at'
        if sum(rows[k][0] in 'QR' for k in range(n)) > share * most: return 'more are out than those who decide at once explain'
    def succ(s):
        rows, txs, messages, hints, budget = s
        nr, nf, nw, nc, np, nd, nb, nl, na = budget
        def mk(rows=rows, txs=txs, messages=messages, hints=hints, budget=budget): return (rows, statements.order(txs), tuple(sorted(set(messages))), statements.order(set(hints)), budget)
        def less(i): return tuple(x - (k == i) for k, x in enumerate(budget))
        def row(k, x): return rows[:k] + (x,) + rows[k+1:]
        def start(program, argument=None): return txs + (statements.begin(program, argument),)
        locked = {r for t in txs for r in t[4]}
        busy = {(t[0], t[1] if not isinstance(t[1], tuple) else t[1][0]) for t in txs}
        for k in range(n):
            st, f, c, a, d, p = rows[k]
            if k in locked: continue
            if d == MINUTE and clock: yield (f'a minute passes for {k}', 1, mk(row(k, (st, f, c, a, NOW, p))), None)
            if a: yield (f'run_at of {k} passes', 1, mk(row(k, (st, f, c, 0, NOW if d == LATER else d, p))), None)
        for k in messages:
            rest = tuple(x for x in messages if x != k)
            if nl: yield (f'the message of {k} is lost', 0, mk(messages=rest, budget=less(7)), None)
            if k in locked: continue
            st, f, c, a, d, p = rows[k]
            if st == 'Q': yield (f'a worker claims {k}, fence {f + 1}', 1, mk(row(k, ('R', f + 1, c, 0, d, p)), messages=rest), None)
            else: yield (f'a worker finds nothing to do for {k}', 1, mk(messages=rest), None)
        for hint in hints:
            rest = tuple(x for x in hints if x != hint)
            if hint[0] == 'publish':
                ids = tuple(k for k, _ in hint[1])
                yield (f'published {ids}', 1, mk(messages=messages + ids, hints=rest), None)
                if nb: yield (f'published {ids}, no confirm comes', 0, mk(messages=messages + ids, hints=rest + tuple(('write_back', x) for x in hint[1]), budget=less(6)), None)
            elif len(txs) < most: yield (f'{hint[0]} follows', 1, mk(txs=start(*hint), hints=rest), None)
            if nd: yield (f'the process dies before {hint[0]}', 0, mk(hints=rest, budget=less(5)), None)
        if len(txs) < most:
            for k in range(n):
                st, f, c, a, d, p = rows[k]
                if st == '-' and ('enqueue', k) not in busy and all(rows[i][0] != '-' or ('enqueue', i) in busy for i in range(k)): yield (f'enqueue {k}', 1, mk(txs=start('enqueue', k)), None)
                if st == 'R' and ('settle', k) not in busy:
                    yield (f'the run of {k} ends', 1, mk(txs=start('settle', (k, f, 'S'))), None)
                    if nr: yield (f'retry, snooze or lapse of {k}', 0, mk(txs=start('settle', (k, f, 'P')), budget=less(0)), None)
                    if nf: yield (f'{k} fails', 0, mk(txs=start('settle', (k, f, 'F')), budget=less(1)), None)
                    if nw: yield (f'{k} begins to wait', 0, mk(txs=start('settle', (k, f, 'W')), budget=less(2)), None)
                if st == 'F' and ('redrive', k) not in busy: yield (f'operator: redrive {k}', 1, mk(txs=start('redrive', k)), None)
                if st == 'W' and ('wake', k) not in busy: yield (f'what {k} waits for is over', 1, mk(txs=start('wake', k)), None)
                if st in 'PQRW' and nc and ('cancel', k) not in busy and (has_begun or not f): yield (f'client: cancel {k}', 0, mk(txs=start('cancel', k), budget=less(3)), None)
            if sum(t[0] == 'look' for t in txs) < looks and any(rows[k][4] == NOW for k in range(n)): yield ('a relay looks', 1, mk(txs=start('look')), None)
            running = {t[0] for t in txs}
            if sweep and 'promote' not in running and any(rows[k][5] for k in range(n)): yield ('the sweep', 1, mk(txs=start('promote')), None)
            if np and not rows[pause] and pause not in locked: yield ('operator: pause', 0, mk(row(pause, 1), budget=less(4)), None)
            if 'bring_back' not in running:
                if rows[pause]: yield ('operator: resume', 1, mk(txs=start('bring_back', 'resume')), None)
                elif back == 'sweep' and any(rows[k][4] == FAR for k in range(n)): yield ('the sweep', 1, mk(txs=start('bring_back')), None)
            if na and all(rows[k][0] != '-' for k in range(n)): yield ('a run begins to wait for all', 0, mk(txs=start('begin_to_wait'), budget=less(8)), None)
        if nd:
            for t in set(txs):
                rest = list(txs); rest.remove(t); yield (f'the process dies in {statements.name(t)}', 0, mk(txs=rest, budget=less(5)), None)
        for label, after, rest, tell, bad in statements.steps(programs, rows, txs):
            if any(rows[k][0] in OVER and after[k][0] != rows[k][0] for k in range(n)): bad = 'REVIVED: a job that is over is unfinished again'
            yield (label, 1, mk(after, rest, hints=hints + ((tell,) if tell else ())), bad or (broken(after) if after != rows else None))
    goal = lambda s: not s[1] and all(s[0][k][0] in OVER for k in range(n))
    return (rows0, (), (), (), (retries, fails, waits, cancels, pauses, dies, returns, lost, awaits)), succ, goal
def run(name, *fails, long=False, limit=1_000_000, **kw):
    i, f, g = model(**kw); check(name, i, f, None, g, fails, long, limit)
def runs():
    quick = dict(clock=False)
    begun = dict(cancels=1, retries=1, has_begun=True)
    run('whoever makes room promotes, and a sweep: two jobs', **quick)
    run('the same, two relays, time passes, a process dies', dies=1, looks=2, long=True)
    run('three due jobs, two relays: above the share by what decides at once', n=3, looks=2, first=[DUE] * 3, **quick)
    run('three jobs', n=3, long=True, **quick)
    run('a retry, snooze or lapse', retries=1, **quick)
    run('a retry, and time passes', retries=1, long=True)
    run('a message is lost', lost=1, long=True)
    run('a failure and a redrive; a wait and a wake', fails=1, waits=1, **quick)
    run('a cancel of what never ran: parked, due, queued', cancels=1, **quick)
    run('the same, a process dies', cancels=1, dies=1, long=True)
    run('a cancel of what has begun, one job: snoozing, queued, running, waiting', n=1, waits=1, **begun)
    run('a cancel of what has begun, two jobs: one is parked', **begun, **quick)
    run('a write-back beside two retries, three at once', n=1, returns=2, retries=2, most=3, long=True)
    run('a write-back beside a retry and a cancel', n=1, returns=1, **begun)
    run('a write-back by the state alone', n=1, returns=1, write_back='state', **begun)
    run('a pause puts what is due off; its end and a sweep bring it back', pauses=1, **quick)
    run('the same, time passes', pauses=1, long=True)
    run('one for later is never parked before its time', ahead=True, **quick)
    run('a run begins to wait for two that are parked', share=2, first=[PARKED] * 2, awaits=1, **quick)
    run('no sweep', 'STUCK', sweep=False, **quick)
    run('no sweep, and what is parked is looked for in the next statement', 'STUCK', sweep=False, more='next', **quick)
    run('promote waits for the rows', 'DEADLOCK', share=2, first=[PARKED] * 2, awaits=1, promote='wait', **quick)
    run('promote UPDATE … WHERE id IN (SELECT …)', 'REVIVED', cancels=1, promote='ids', **quick)
    run('promote publishes', 'published although its queue is paused', pauses=1, promote='publish', **quick)
    run('the look goes by the ids of a SELECT', 'REVIVED', n=1, cancels=1, look='ids', born=False)
    run('what a pause put off comes back at its end only', 'STUCK', pauses=1, back='once', **quick)
    run('a put-back leaves due_at', 'published before its run_at', n=1, retries=1, put_back='keep')
    run('a put-back sets it null', 'LOST', n=1, retries=1, put_back='null')
    run('a put-back by what was seen of the cancel', 'one that is to be undone', n=1, flagged='seen', **begun)
    run('a wake writes no due_at', 'LOST', n=1, waits=1, wake='none')
    run('a write-back WHERE id', 'a word of a message', 'over or waiting', n=1, returns=1, retries=1, write_back='id')
    run('a write-back by the fence alone', 'over or waiting', n=1, returns=1, cancels=1, write_back='fence')
    run('a cancel leaves due_at and parked', 'over or waiting', n=1, cancels=1, cancel='keep')
    run('a cancel of one that has begun and is parked sets due_at alone', 'parked and due', begun_parked='both', **begun, **quick)
    run('the share counts all that have a due_at', 'what sleeps holds', retries=1, count='due', **quick)
    run('what is for later is parked', 'published before its run_at', ahead=True, park='all')
    run('nobody counts', 'more are out', n=3, count='none', first=[DUE] * 3, **quick)
