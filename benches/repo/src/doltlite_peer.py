"""doltlite, told what to measure: `commit FROM COUNT` answers in ms, `read FROM COUNT` in us a read."""

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


def write(first, count):
    global round
    round += 1
    value = bytes([round % 256]) * 100
    rows = [(key(index % entries), value) for index in range(first, first + count)]
    start = time.perf_counter()
    db.execute("BEGIN")
    db.executemany("INSERT INTO entries VALUES (?, ?) ON CONFLICT (k) DO UPDATE SET v = excluded.v", rows)
    db.execute("COMMIT")
    db.execute("SELECT dolt_commit('-A', '-m', 'bench')").fetchall()
    return (time.perf_counter() - start) * 1e3


def read(first, count):
    keys = [(key(index * 7919 % entries),) for index in range(first, first + count)]
    start = time.perf_counter()
    for one in keys:
        assert db.execute("SELECT v FROM entries WHERE k = ?", one).fetchone()
    return (time.perf_counter() - start) * 1e6 / count


write(0, entries)
for line in sys.stdin:
    what, first, count = line.split()
    work = write if what == "commit" else read
    print(work(int(first), int(count)), flush=True)
