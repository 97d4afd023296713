# psycopg 3, with its pool. The settings are those of libpq, in the environment.
import sys

import psycopg
import psycopg_pool

TOTAL = "SELECT id, total FROM orders WHERE id = %s"
SET = "UPDATE orders SET status = %s WHERE id = %s"
STATUS = "SELECT status FROM orders WHERE id = %s"

pool = psycopg_pool.ConnectionPool("", min_size=1, max_size=2, kwargs={"autocommit": True})


def say(*words):
    print(*words, flush=True)


def refusal(e):
    return f"{e.sqlstate} {e.diag.message_detail}" + (", hint" if e.diag.message_hint else "")


def tell(conn):
    def one(sql, *args, **how):
        return conn.execute(sql, args or None, **how).fetchone()

    say("select", *one(TOTAL, 3))
    totals = [one(TOTAL, i, prepare=True)[1] for i in (1, 2)]
    say("prepared", *totals)

    with conn.transaction():
        conn.execute(SET, ("paid", 5))
    say("transaction", *one(STATUS, 5))

    try:
        conn.execute("SELECT card FROM customers")
    except psycopg.errors.InsufficientPrivilege as e:
        say("denied", refusal(e))
    say("after", *one("SELECT 7"))

    codes = []
    with conn.transaction(force_rollback=True):
        conn.execute(SET, ("lost", 6))
        for sql in "SELECT card FROM customers", "SELECT 1":
            try:
                conn.execute(sql)
            except psycopg.Error as e:
                codes.append(e.sqlstate)
    say("failed", *codes, *one(STATUS, 6))

    with conn.pipeline():
        for i in 10, 11, 12:
            conn.execute(SET, ("batch", i))
    say("batch", *one("SELECT count(*) FROM orders WHERE status = 'batch'"))

    values = b"\x00\xff\x5c\x27", "it's \\ ü☃", -9007199254740993, -0.125
    for kind, binary in ("s", False), ("b", True):
        sql = "SELECT %s::bytea, %s::text, %s::bigint, %s::float8".replace("%s", "%" + kind)
        raw, text, long, real = one(sql, *values, binary=binary)
    say("values", raw.hex(), text, long, real)


pool.wait()  # else it makes another connection for the first who asks
with pool.connection() as conn:
    tell(conn)

say("ready")
sys.stdin.readline()
for i in range(50):
    try:
        with pool.connection() as conn:
            say("back", *conn.execute("SELECT 7").fetchone())
        break
    except psycopg.OperationalError:
        pass
pool.close()
