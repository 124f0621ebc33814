"""An engine for SQL, told what to measure: a line of JSON each, {"sql": text, "each": [[parameter, ...], ...]},
answered by microseconds a statement, executing and fetching all rows."""

import csv
import json
import sys
import time

name, path, rows, size = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
TABLE = "CREATE TABLE user (id TEXT PRIMARY KEY, role TEXT, age INTEGER, city TEXT, mail TEXT, note TEXT)"

if name == "duckdb":
    import duckdb

    db = duckdb.connect(path)
    db.execute(TABLE)
    db.execute(f"COPY user FROM '{rows}' (HEADER false)")
    db.execute("CREATE INDEX by_city ON user (city)")
else:
    import doltlite  # before sqlite3: it takes its place
    import sqlite3

    assert doltlite
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(TABLE + " WITHOUT ROWID")
    db.execute("BEGIN")
    with open(rows, newline="") as lines:
        db.executemany("INSERT INTO user VALUES (?, ?, ?, ?, ?, ?)", csv.reader(lines))
    db.execute("COMMIT")
    db.execute("CREATE INDEX by_city ON user (city)")
    db.execute("ANALYZE")
    db.execute("SELECT dolt_commit('-A', '-m', 'all')").fetchall()

assert db.execute("SELECT count(*) FROM user").fetchall() == [(size,)]
print("ready", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    sql, each = asked["sql"], asked["each"]
    start = time.perf_counter()
    for parameters in each:
        db.execute(sql, parameters).fetchall()
    print((time.perf_counter() - start) * 1e6 / len(each), flush=True)
