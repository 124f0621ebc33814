"""doltlite, told what to measure: `two FROM COUNT` and `one FROM COUNT` commit in two durable steps or in one
and answer in ms, `read FROM COUNT` in us a read."""

import doltlite  # before sqlite3: it takes its place
import sqlite3
import sys
import time

assert doltlite
path, entries = sys.argv[1], int(sys.argv[2])
db = sqlite3.connect(path, isolation_level=None)
db.execute("CREATE TABLE entries (k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID")
round = 0


def key(index):
    return f"key/{index * 2654435761 % 100000000:08}"


def write(first, count, steps):
    global round
    round += 1
    value = bytes([round % 256]) * 100
    rows = [(key(index % entries), value) for index in range(first, first + count)]
    start = time.perf_counter()
    db.execute("BEGIN")
    db.executemany("INSERT INTO entries VALUES (?, ?) ON CONFLICT (k) DO UPDATE SET v = excluded.v", rows)
    if steps == 2:
        db.execute("COMMIT")
    db.execute("SELECT dolt_commit('-A', '-m', 'bench')").fetchall()
    if db.in_transaction:
        db.execute("COMMIT")
    return (time.perf_counter() - start) * 1e3


def read(first, count):
    keys = [(key(index * 7919 % entries),) for index in range(first, first + count)]
    start = time.perf_counter()
    for one in keys:
        assert db.execute("SELECT v FROM entries WHERE k = ?", one).fetchone()
    return (time.perf_counter() - start) * 1e6 / count


def head():
    return db.execute("SELECT count(*) FROM dolt_log").fetchone()[0]


write(0, entries, 2)
before = head()
write(0, 1, 1)
assert head() == before + 1, "a commit within a transaction is one"
for line in sys.stdin:
    what, first, count = line.split()
    first, count = int(first), int(count)
    print(read(first, count) if what == "read" else write(first, count, 1 if what == "one" else 2), flush=True)
