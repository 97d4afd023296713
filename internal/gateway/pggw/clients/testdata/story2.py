# psycopg 2, with its pool. The settings are those of libpq, in the environment.
import sys

import psycopg2
import psycopg2.extras
import psycopg2.pool

TOTAL = "SELECT id, total FROM orders WHERE id = %s"
SET = "UPDATE orders SET status = %s WHERE id = %s"
STATUS = "SELECT status FROM orders WHERE id = %s"

pool = psycopg2.pool.ThreadedConnectionPool(1, 2, "")


def say(*words):
    print(*words, flush=True)


def refusal(e):
    return f"{e.pgcode} {e.diag.message_detail}" + (", hint" if e.diag.message_hint else "")


def one(cur, sql, *args):
    cur.execute(sql, args or None)
    return cur.fetchone()


conn = pool.getconn()
conn.autocommit = True
cur = conn.cursor()
say("select", *one(cur, TOTAL, 3))

conn.autocommit = False
with conn, conn.cursor() as tx:
    tx.execute(SET, ("paid", 5))
conn.autocommit = True
say("transaction", *one(cur, STATUS, 5))

try:
    cur.execute("SELECT card FROM customers")
except psycopg2.errors.InsufficientPrivilege as e:
    say("denied", refusal(e))
say("after", *one(cur, "SELECT 7"))

conn.autocommit = False
codes = []
with conn.cursor() as tx:
    tx.execute(SET, ("lost", 6))
    for sql in "SELECT card FROM customers", "SELECT 1":
        try:
            tx.execute(sql)
        except psycopg2.Error as e:
            codes.append(e.pgcode)
conn.rollback()
conn.autocommit = True
say("failed", *codes, *one(cur, STATUS, 6))

psycopg2.extras.execute_batch(cur, SET, [("batch", i) for i in (10, 11, 12)])
say("batch", *one(cur, "SELECT count(*) FROM orders WHERE status = 'batch'"))

raw, text, long, real = one(
    cur, "SELECT %s::bytea, %s::text, %s::bigint, %s::float8", b"\x00\xff\x5c\x27", "it's \\ ü☃", -9007199254740993, -0.125
)
say("values", bytes(raw).hex(), text, long, real)
pool.putconn(conn)

say("ready")
sys.stdin.readline()
for i in range(50):
    conn = pool.getconn()
    try:
        with conn.cursor() as cur:
            say("back", *one(cur, "SELECT 7"))
        break
    except psycopg2.OperationalError:
        pass
    finally:
        pool.putconn(conn)  # one that is broken is not kept
