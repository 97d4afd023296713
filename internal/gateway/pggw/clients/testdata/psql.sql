-- psql: its statements are simple queries. What it says of a refusal goes to its
-- standard error.
\pset format unaligned
\pset tuples_only on
\pset fieldsep ' '
\set id 3
SELECT 'select', id, total FROM orders WHERE id = :'id';
BEGIN;
UPDATE orders SET status = 'paid' WHERE id = 5;
COMMIT;
SELECT 'transaction', status FROM orders WHERE id = 5;
SELECT card FROM customers;
\echo denied :LAST_ERROR_SQLSTATE
SELECT 'after', 7;
BEGIN;
UPDATE orders SET status = 'lost' WHERE id = 6;
SELECT card FROM customers;
\set first :LAST_ERROR_SQLSTATE
SELECT 1;
\set second :LAST_ERROR_SQLSTATE
ROLLBACK;
SELECT 'failed', :'first', :'second', status FROM orders WHERE id = 6;
UPDATE orders SET status = 'batch' WHERE id = 10\; UPDATE orders SET status = 'batch' WHERE id = 11\; UPDATE orders SET status = 'batch' WHERE id = 12;
SELECT 'batch', count(*) FROM orders WHERE status = 'batch';
\set text 'it''s \\ ü☃'
SELECT 'values', encode('\x00ff5c27'::bytea, 'hex'), :'text', (-9007199254740993)::bigint, (-0.125)::float8;
