-- Statements as clients write them, for TestOrdinary. They are in the schema of that test.
-- Sessions: transactions and settings, as drivers and pools write them.
BEGIN;
BEGIN READ ONLY;
BEGIN ISOLATION LEVEL SERIALIZABLE;
BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED READ WRITE;
START TRANSACTION;
START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY, DEFERRABLE;
COMMIT;
COMMIT AND CHAIN;
ROLLBACK;
ABORT;
END;
SAVEPOINT s1;
SAVEPOINT "_EntityFramework";
RELEASE SAVEPOINT s1;
RELEASE s1;
ROLLBACK TO SAVEPOINT s1;
ROLLBACK TO s1;
SET extra_float_digits = 3;
SET application_name = 'PostgreSQL JDBC Driver';
SET application_name TO 'shop';
SET TIME ZONE 'UTC';
SET TIMEZONE TO 'UTC';
SET TIME ZONE INTERVAL '+00:00' HOUR TO MINUTE;
SET statement_timeout = 30000;
SET statement_timeout TO '30s';
SET LOCAL statement_timeout = '5s';
SET LOCAL lock_timeout = '2s';
SET SESSION statement_timeout TO 0;
SET idle_in_transaction_session_timeout = 60000;
SET client_encoding TO 'UTF8';
SET NAMES 'utf8';
SET client_min_messages TO warning;
SET datestyle TO 'ISO';
SET intervalstyle = iso_8601;
SET bytea_output = 'hex';
SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY;
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED;
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
SET TRANSACTION READ ONLY;
SET TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE;
SET enable_seqscan = off;
SET work_mem = '64MB';
SET default_transaction_isolation TO 'read committed';
SET lc_monetary = 'C';
RESET statement_timeout;
RESET application_name;
SET statement_timeout TO DEFAULT;
SHOW server_version;
SHOW server_version_num;
SHOW TRANSACTION ISOLATION LEVEL;
SHOW transaction_isolation;
SHOW standard_conforming_strings;
SHOW max_identifier_length;
SHOW search_path;
SHOW timezone;
SHOW client_encoding;
SHOW ALL;
SELECT set_config('statement_timeout', '1000', false);
SELECT pg_catalog.set_config('app.user_id', $1, true);
SELECT current_setting('app.user_id', true);
SELECT current_setting('server_version_num')::int;
-- Health checks, and what drivers ask when they have connected.
SELECT 1;
SELECT 1 AS one;
SELECT '1';
SELECT NULL;
SELECT version();
select pg_catalog.version();
SELECT current_database();
SELECT current_schema();
select current_schema();
SELECT current_user;
SELECT session_user;
SELECT current_database(), current_schema(), version();
SELECT now();
SELECT CURRENT_TIMESTAMP;
SELECT transaction_timestamp(), statement_timestamp(), clock_timestamp();
SELECT pg_is_in_recovery();
SELECT pg_backend_pid();
SELECT txid_current();
SELECT inet_server_addr(), inet_server_port();
SELECT CAST('test plain returns' AS VARCHAR(60)) AS anon_1;
SELECT CAST('test unicode returns' AS VARCHAR(60)) AS anon_1;
SELECT 'x' AS some_label;
SELECT EXISTS (SELECT 1);
SELECT t.oid, typarray FROM pg_type t JOIN pg_namespace ns ON typnamespace = ns.oid WHERE typname = 'hstore';
SELECT typname AS name, oid, typarray AS array_oid, oid::regtype::text AS regtype, typdelim AS delimiter FROM pg_type t WHERE t.oid = $1::regtype ORDER BY t.oid;
SELECT t.typname AS name, t.oid AS oid, t.typarray AS array_oid, t.oid::regtype::text AS regtype, array_agg(x.enumlabel) AS labels FROM pg_type t LEFT JOIN (SELECT e.enumtypid, e.enumlabel FROM pg_enum e ORDER BY e.enumsortorder) x ON x.enumtypid = t.oid WHERE t.oid = to_regtype($1) GROUP BY t.typname, t.oid, t.typarray;
SELECT pg_catalog.pg_type.typname, pg_catalog.pg_type.oid FROM pg_catalog.pg_type WHERE pg_catalog.pg_type.typname IN ('int4', 'text');
SELECT n.nspname = ANY(current_schemas(true)), n.nspname, t.typname FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON t.typnamespace = n.oid WHERE t.oid = $1;
SELECT typinput='pg_catalog.array_in'::regproc as is_array, typtype, typname, pg_type.oid FROM pg_catalog.pg_type LEFT JOIN (select ns.oid as nspoid, ns.nspname, r.r from pg_namespace as ns join ( select s.r, (current_schemas(false))[s.r] as nspname from generate_series(1, array_upper(current_schemas(false), 1)) as s(r) ) as r using ( nspname )) as sp ON sp.nspoid = typnamespace WHERE pg_type.typname = $1 ORDER BY sp.r, pg_type.oid DESC;
SELECT e.typdelim FROM pg_catalog.pg_type t, pg_catalog.pg_type e WHERE t.oid = $1 and t.typelem = e.oid;
SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, c.relname AS TABLE_NAME, CASE n.nspname ~ '^pg_' OR n.nspname = 'information_schema' WHEN true THEN CASE WHEN n.nspname = 'pg_catalog' OR n.nspname = 'information_schema' THEN CASE c.relkind WHEN 'r' THEN 'SYSTEM TABLE' WHEN 'v' THEN 'SYSTEM VIEW' WHEN 'i' THEN 'SYSTEM INDEX' ELSE NULL END ELSE NULL END WHEN false THEN CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'v' THEN 'VIEW' ELSE NULL END ELSE NULL END AS TABLE_TYPE, d.description AS REMARKS, '' as TYPE_CAT, '' as TYPE_SCHEM, '' as TYPE_NAME, '' AS SELF_REFERENCING_COL_NAME, '' AS REF_GENERATION FROM pg_catalog.pg_namespace n, pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_description d ON (c.oid = d.objoid AND d.objsubid = 0 and d.classoid = 'pg_class'::regclass) WHERE c.relnamespace = n.oid AND c.relname LIKE 'orders' AND (false OR ( c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ) ) ORDER BY TABLE_TYPE,TABLE_SCHEM,TABLE_NAME;
SELECT * FROM (SELECT n.nspname,c.relname,a.attname,a.atttypid,a.attnotnull OR (t.typtype = 'd' AND t.typnotnull) AS attnotnull,a.atttypmod,a.attlen,t.typtypmod,row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) AS attnum, nullif(a.attidentity, '') as attidentity,nullif(a.attgenerated, '') as attgenerated,pg_catalog.pg_get_expr(def.adbin, def.adrelid) AS adsrc,dsc.description,t.typbasetype,t.typtype FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON (c.relnamespace = n.oid) JOIN pg_catalog.pg_attribute a ON (a.attrelid=c.oid) JOIN pg_catalog.pg_type t ON (a.atttypid = t.oid) LEFT JOIN pg_catalog.pg_attrdef def ON (a.attrelid=def.adrelid AND a.attnum = def.adnum) LEFT JOIN pg_catalog.pg_description dsc ON (c.oid=dsc.objoid AND a.attnum = dsc.objsubid) LEFT JOIN pg_catalog.pg_class dc ON (dc.oid=dsc.classoid AND dc.relname='pg_class') LEFT JOIN pg_catalog.pg_namespace dn ON (dc.relnamespace=dn.oid AND dn.nspname='pg_catalog') WHERE c.relkind in ('r','p','v','f','m') and a.attnum > 0 AND NOT a.attisdropped AND n.nspname LIKE 'public' AND c.relname LIKE 'orders') c WHERE true ORDER BY nspname,c.relname,attnum;
SELECT result.TABLE_CAT, result.TABLE_SCHEM, result.TABLE_NAME, result.COLUMN_NAME, result.KEY_SEQ, result.PK_NAME FROM (SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, ct.relname AS TABLE_NAME, a.attname AS COLUMN_NAME, (information_schema._pg_expandarray(i.indkey)).n AS KEY_SEQ, ci.relname AS PK_NAME, information_schema._pg_expandarray(i.indkey) AS KEYS, a.attnum AS A_ATTNUM FROM pg_catalog.pg_class ct JOIN pg_catalog.pg_attribute a ON (ct.oid = a.attrelid) JOIN pg_catalog.pg_namespace n ON (ct.relnamespace = n.oid) JOIN pg_catalog.pg_index i ON ( a.attrelid = i.indrelid) JOIN pg_catalog.pg_class ci ON (ci.oid = i.indexrelid) WHERE true AND ct.relname = 'orders' AND i.indisprimary ) result where result.A_ATTNUM = (result.KEYS).x ORDER BY result.table_name, result.pk_name, result.key_seq;
SELECT a.attname, a.attnum FROM pg_attribute a WHERE a.attrelid = 'orders'::regclass AND a.attnum > 0 AND NOT a.attisdropped;
SELECT ns.nspname, t.oid, t.typname, t.typtype, t.typnotnull, t.elemtypoid FROM (SELECT typ.oid, typ.typnamespace, typ.typname, typ.typtype, typ.typrelid, typ.typnotnull, typ.relkind, elemtyp.oid AS elemtypoid, elemtyp.typname AS elemtypname, elemcls.relkind AS elemrelkind, CASE WHEN elemproc.proname='array_recv' THEN 'a' ELSE elemtyp.typtype END AS elemtyptype FROM (SELECT typ.oid, typnamespace, typname, typrelid, typnotnull, relkind, typelem AS elemoid, CASE WHEN proc.proname='array_recv' THEN 'a' ELSE typ.typtype END AS typtype, CASE WHEN proc.proname='array_recv' THEN typ.typelem WHEN typ.typtype='r' THEN rngsubtype WHEN typ.typtype='m' THEN (SELECT rngtypid FROM pg_range WHERE rngmultitypid = typ.oid) WHEN typ.typtype='d' THEN typ.typbasetype END AS elemtypid FROM pg_type AS typ LEFT JOIN pg_class AS cls ON (cls.oid = typ.typrelid) LEFT JOIN pg_proc AS proc ON proc.oid = typ.typreceive LEFT JOIN pg_range ON (pg_range.rngtypid = typ.oid)) AS typ LEFT JOIN pg_type AS elemtyp ON elemtyp.oid = elemtypid LEFT JOIN pg_class AS elemcls ON (elemcls.oid = elemtyp.typrelid) LEFT JOIN pg_proc AS elemproc ON elemproc.oid = elemtyp.typreceive) AS t JOIN pg_namespace AS ns ON (ns.oid = typnamespace) WHERE typtype IN ('b', 'r', 'm', 'e', 'd') OR (typtype = 'c' AND relkind='c') OR (typtype = 'p' AND typname IN ('record', 'void', 'unknown')) ORDER BY CASE WHEN typtype IN ('b', 'e', 'p') THEN 0 WHEN typtype = 'r' THEN 1 ELSE 5 END;
SELECT pg_type.oid, enumlabel FROM pg_enum JOIN pg_type ON pg_type.oid=enumtypid ORDER BY oid, enumsortorder;
SELECT typ.oid, att.attname, att.atttypid FROM pg_type AS typ JOIN pg_namespace AS ns ON (ns.oid = typ.typnamespace) JOIN pg_class AS cls ON (cls.oid = typ.typrelid) JOIN pg_attribute AS att ON (att.attrelid = typ.typrelid) WHERE (typ.typtype = 'c' AND cls.relkind='c') AND attnum > 0 AND NOT attisdropped ORDER BY typ.oid, att.attnum;
-- information_schema, as tools read it.
SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE';
SELECT count(*) FROM information_schema.tables WHERE table_schema = CURRENT_SCHEMA() AND table_name = $1 AND table_type = $2;
SELECT column_name, data_type, is_nullable, column_default FROM information_schema.columns WHERE table_schema = 'public' AND table_name = $1 ORDER BY ordinal_position;
SELECT c.column_name, c.is_nullable = 'YES', c.udt_name, c.character_maximum_length, c.numeric_precision, c.numeric_precision_radix, c.numeric_scale, c.datetime_precision, 8 * typlen, c.column_default, pd.description, c.identity_increment FROM information_schema.columns AS c JOIN pg_type AS pgt ON c.udt_name = pgt.typname LEFT JOIN pg_catalog.pg_description as pd ON pd.objsubid = c.ordinal_position AND pd.objoid = (SELECT oid FROM pg_catalog.pg_class WHERE relname = c.table_name AND relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = c.table_schema)) where table_catalog = 'test' AND table_schema = CURRENT_SCHEMA() AND table_name = 'orders';
SELECT tc.constraint_name, kcu.column_name, ccu.table_name AS foreign_table_name FROM information_schema.table_constraints AS tc JOIN information_schema.key_column_usage AS kcu ON tc.constraint_name = kcu.constraint_name JOIN information_schema.constraint_column_usage AS ccu ON ccu.constraint_name = tc.constraint_name WHERE tc.constraint_type = 'FOREIGN KEY' AND tc.table_name = 'orders';
SELECT schema_name FROM information_schema.schemata;
SELECT sequence_name FROM information_schema.sequences WHERE sequence_schema = 'public';
SELECT grantee, privilege_type FROM information_schema.role_table_grants WHERE table_name = 'orders';
SELECT view_definition FROM information_schema.views WHERE table_name = 'open_orders';
SELECT routine_name, routine_type FROM information_schema.routines WHERE specific_schema = 'public';
-- Statistics and administration.
SELECT pid, usename, application_name, state, query, now() - query_start AS age FROM pg_stat_activity WHERE state <> 'idle' ORDER BY age DESC;
SELECT relname, n_live_tup, n_dead_tup, last_autovacuum FROM pg_stat_user_tables ORDER BY n_dead_tup DESC LIMIT 10;
SELECT relname, 100 * idx_scan / nullif(seq_scan + idx_scan, 0) AS percent FROM pg_stat_user_tables WHERE seq_scan + idx_scan > 0;
SELECT datname, pg_size_pretty(pg_database_size(datname)) FROM pg_database;
SELECT pg_size_pretty(pg_total_relation_size('public.orders'));
SELECT relname, pg_relation_size(oid) FROM pg_class WHERE relkind = 'r' ORDER BY 2 DESC LIMIT 5;
SELECT indexrelname, idx_scan FROM pg_stat_user_indexes WHERE idx_scan = 0;
SELECT blocked.pid, blocking.pid FROM pg_locks blocked JOIN pg_locks blocking ON blocking.locktype = blocked.locktype AND blocking.pid <> blocked.pid WHERE NOT blocked.granted;
SELECT name, setting, unit FROM pg_settings WHERE name IN ('max_connections', 'shared_buffers');
SELECT pg_advisory_lock(1);
SELECT pg_try_advisory_lock($1, $2);
SELECT pg_advisory_xact_lock(hashtext($1));
SELECT pg_advisory_unlock(1);
SELECT extname, extversion FROM pg_extension;
SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user;
SELECT has_table_privilege('orders', 'SELECT');
EXPLAIN SELECT * FROM orders WHERE id = 1;
EXPLAIN (COSTS OFF, FORMAT JSON) SELECT * FROM orders WHERE id = 1;
EXPLAIN ANALYZE SELECT count(*) FROM orders;
EXPLAIN (ANALYZE, BUFFERS) UPDATE orders SET status = 'x' WHERE id = 1;
EXPLAIN VERBOSE INSERT INTO items (order_id) VALUES (1);
-- GORM.
SELECT * FROM "orders" WHERE "orders"."id" = $1 ORDER BY "orders"."id" LIMIT 1;
SELECT * FROM "orders" WHERE "orders"."deleted_at" IS NULL;
SELECT * FROM "orders" WHERE (status = $1 AND total >= $2) AND "orders"."deleted_at" IS NULL ORDER BY created_at desc LIMIT 10 OFFSET 20;
SELECT count(*) FROM "orders" WHERE status IN ($1,$2,$3) AND "orders"."deleted_at" IS NULL;
SELECT "orders"."id","orders"."total","Customer"."id" AS "Customer__id","Customer"."name" AS "Customer__name" FROM "orders" LEFT JOIN "customers" "Customer" ON "orders"."customer_id" = "Customer"."id" WHERE "orders"."id" = $1;
SELECT DISTINCT "status" FROM "orders";
SELECT status, sum(total) as total FROM "orders" GROUP BY "status" HAVING sum(total) > $1;
INSERT INTO "orders" ("customer_id","total","status","created_at") VALUES ($1,$2,$3,$4) RETURNING "id";
INSERT INTO "orders" ("customer_id","total") VALUES ($1,$2),($3,$4),($5,$6) RETURNING "id";
INSERT INTO "customers" ("name","email","id") VALUES ($1,$2,$3) ON CONFLICT ("id") DO UPDATE SET "name"="excluded"."name","email"="excluded"."email" RETURNING "id";
INSERT INTO "customers" ("name","email") VALUES ($1,$2) ON CONFLICT DO NOTHING RETURNING "id";
UPDATE "orders" SET "status"=$1,"note"=$2 WHERE "orders"."deleted_at" IS NULL AND "id" = $3;
UPDATE "orders" SET "deleted_at"=$1 WHERE "orders"."id" = $2 AND "orders"."deleted_at" IS NULL;
UPDATE "items" SET "qty"=qty + $1 WHERE "id" = $2;
DELETE FROM "items" WHERE "items"."id" = $1;
DELETE FROM "items" WHERE order_id IN (SELECT id FROM "orders" WHERE status = $1);
SELECT * FROM "orders" WHERE "orders"."id" = $1 FOR UPDATE;
SELECT * FROM "orders" WHERE id = ANY($1);
SELECT * FROM "customers" WHERE settings->>'theme' = $1;
SELECT * FROM "customers" WHERE "settings" @> $1::jsonb;
-- SQLAlchemy.
SELECT orders.id, orders.customer_id, orders.total, orders.status FROM orders WHERE orders.id = $1::INTEGER;
SELECT orders.id AS orders_id, orders.total AS orders_total FROM orders ORDER BY orders.id LIMIT $1::INTEGER OFFSET $2::INTEGER;
SELECT anon_1.orders_id, items_1.id, items_1.sku FROM (SELECT orders.id AS orders_id FROM orders LIMIT $1::INTEGER) AS anon_1 LEFT OUTER JOIN items AS items_1 ON anon_1.orders_id = items_1.order_id;
SELECT customers.id, (SELECT count(orders.id) AS count_1 FROM orders WHERE orders.customer_id = customers.id) AS anon_1 FROM customers;
SELECT count(*) AS count_1 FROM (SELECT orders.id AS orders_id FROM orders WHERE orders.status = $1::VARCHAR) AS anon_1;
SELECT EXISTS (SELECT 1 FROM orders WHERE orders.id = $1) AS anon_1;
SELECT orders.id FROM orders WHERE orders.status IS NOT NULL AND (orders.total > $1::NUMERIC OR orders.note LIKE '%' || $2::VARCHAR || '%');
SELECT orders.status, sum(orders.total) AS sum_1, avg(orders.total) AS avg_1 FROM orders GROUP BY orders.status ORDER BY sum_1 DESC;
SELECT orders.id, rank() OVER (PARTITION BY orders.status ORDER BY orders.total DESC) AS anon_1 FROM orders;
SELECT CASE WHEN (orders.total > $1::INTEGER) THEN $2::VARCHAR ELSE $3::VARCHAR END AS anon_1 FROM orders;
SELECT coalesce(orders.note, $1::VARCHAR) AS coalesce_1 FROM orders;
SELECT lower(customers.email) AS lower_1 FROM customers WHERE lower(customers.email) = lower($1::VARCHAR);
INSERT INTO orders (customer_id, total, status) VALUES ($1::INTEGER, $2::NUMERIC, $3::VARCHAR) RETURNING orders.id;
INSERT INTO orders (customer_id, total) SELECT p0::INTEGER, p1::NUMERIC FROM (VALUES ($1::INTEGER, $2::NUMERIC, 0), ($3::INTEGER, $4::NUMERIC, 1)) AS imp_sen(p0, p1, sen_counter) ORDER BY sen_counter RETURNING orders.id, orders.id AS id__1;
UPDATE orders SET status=$1::VARCHAR WHERE orders.id = $2::INTEGER;
UPDATE orders SET note=(SELECT customers.name FROM customers WHERE customers.id = orders.customer_id) WHERE orders.id = $1::INTEGER;
DELETE FROM orders WHERE orders.id = $1::INTEGER;
WITH RECURSIVE included(id, customer_id) AS (SELECT orders.id AS id, orders.customer_id AS customer_id FROM orders WHERE orders.id = 1 UNION ALL SELECT o.id AS id, o.customer_id AS customer_id FROM orders AS o, included WHERE o.customer_id = included.id) SELECT included.id FROM included;
SELECT pg_catalog.pg_class.relname FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace WHERE pg_catalog.pg_class.relname = $1::VARCHAR AND pg_catalog.pg_class.relkind = ANY (ARRAY[$2::VARCHAR, $3::VARCHAR]) AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) AND pg_catalog.pg_namespace.nspname != $4::VARCHAR;
SELECT pg_catalog.pg_attribute.attname AS name, pg_catalog.format_type(pg_catalog.pg_attribute.atttypid, pg_catalog.pg_attribute.atttypmod) AS format_type, (SELECT pg_catalog.pg_get_expr(pg_catalog.pg_attrdef.adbin, pg_catalog.pg_attrdef.adrelid) AS pg_get_expr_1 FROM pg_catalog.pg_attrdef WHERE pg_catalog.pg_attrdef.adrelid = pg_catalog.pg_attribute.attrelid AND pg_catalog.pg_attrdef.adnum = pg_catalog.pg_attribute.attnum AND pg_catalog.pg_attribute.atthasdef) AS "default", pg_catalog.pg_attribute.attnotnull AS not_null FROM pg_catalog.pg_class LEFT OUTER JOIN pg_catalog.pg_attribute ON pg_catalog.pg_class.oid = pg_catalog.pg_attribute.attrelid AND pg_catalog.pg_attribute.attnum > 0 AND NOT pg_catalog.pg_attribute.attisdropped WHERE pg_catalog.pg_class.relname IN ('orders') ORDER BY pg_catalog.pg_class.relname, pg_catalog.pg_attribute.attnum;
-- Django.
SELECT "orders"."id", "orders"."total" FROM "orders" WHERE "orders"."id" = 1 LIMIT 21;
SELECT COUNT(*) AS "__count" FROM "orders";
SELECT (1) AS "a" FROM "orders" WHERE "orders"."status" = 'open' LIMIT 1;
SELECT 1 AS "a" FROM "customers" WHERE "customers"."email" = 'a@b' LIMIT 1;
SELECT "orders"."status", COUNT("orders"."id") AS "n" FROM "orders" GROUP BY "orders"."status" ORDER BY "n" DESC;
SELECT "orders"."id" FROM "orders" INNER JOIN "customers" ON ("orders"."customer_id" = "customers"."id") WHERE (UPPER("customers"."name"::text) LIKE UPPER('%ann%') AND NOT ("orders"."status" = 'x' AND "orders"."status" IS NOT NULL));
SELECT "orders"."id" FROM "orders" WHERE "orders"."created_at" BETWEEN '2023-01-01T00:00:00+00:00'::timestamptz AND '2023-12-31T23:59:59+00:00'::timestamptz;
SELECT DATE_TRUNC('month', "orders"."created_at" AT TIME ZONE 'UTC') AS "month", SUM("orders"."total") AS "s" FROM "orders" GROUP BY 1 ORDER BY 1 ASC;
SELECT EXTRACT(YEAR FROM "orders"."created_at" AT TIME ZONE 'UTC') AS "year" FROM "orders";
SELECT "customers"."id" FROM "customers" WHERE EXISTS(SELECT 1 AS "a" FROM "orders" U0 WHERE U0."customer_id" = ("customers"."id") LIMIT 1);
SELECT "customers"."id" FROM "customers" WHERE "customers"."id" IN (SELECT U0."customer_id" FROM "orders" U0 WHERE U0."total" > 10);
SELECT "customers"."id", ("customers"."settings" -> 'theme') AS "theme" FROM "customers" WHERE ("customers"."settings" #> '{a,b}') = '1'::jsonb;
SELECT "customers"."id" FROM "customers" WHERE "customers"."tags" @> (ARRAY['vip'])::text[];
INSERT INTO "orders" ("customer_id", "total", "status") VALUES (1, '9.99', 'open') RETURNING "orders"."id";
INSERT INTO "items" ("order_id", "sku", "qty") VALUES (1, 'a', 1), (1, 'b', 2) ON CONFLICT DO NOTHING;
UPDATE "orders" SET "total" = ("orders"."total" + 1) WHERE "orders"."id" = 1;
UPDATE "orders" SET "status" = CASE WHEN ("orders"."id" = 1) THEN 'a' WHEN ("orders"."id" = 2) THEN 'b' ELSE NULL END WHERE "orders"."id" IN (1, 2);
DELETE FROM "items" WHERE "items"."order_id" IN (1, 2, 3);
SELECT "orders"."id" FROM "orders" WHERE "orders"."id" = 1 FOR UPDATE OF "orders" NOWAIT;
SELECT "orders"."id" FROM "orders" ORDER BY "orders"."id" FOR NO KEY UPDATE SKIP LOCKED;
SELECT c.relname, CASE WHEN c.relispartition THEN 'p' WHEN c.relkind IN ('m', 'v') THEN 'v' ELSE 't' END, obj_description(c.oid, 'pg_class') FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('f', 'm', 'p', 'r', 'v') AND n.nspname NOT IN ('pg_catalog', 'pg_toast') AND pg_catalog.pg_table_is_visible(c.oid);
SELECT c.conname, array(SELECT attname FROM unnest(c.conkey) WITH ORDINALITY cols(colid, arridx) JOIN pg_attribute AS ca ON cols.colid = ca.attnum WHERE ca.attrelid = c.conrelid ORDER BY cols.arridx), c.contype, (SELECT fkc.relname || '.' || fka.attname FROM pg_attribute AS fka JOIN pg_class AS fkc ON fka.attrelid = fkc.oid WHERE fka.attrelid = c.confrelid AND fka.attnum = c.confkey[1]), cl.reloptions FROM pg_constraint AS c JOIN pg_class AS cl ON c.conrelid = cl.oid WHERE cl.relname = 'orders' AND pg_catalog.pg_table_is_visible(cl.oid);
SELECT s.relname AS sequence_name, a.attname AS colname FROM pg_class s JOIN pg_depend d ON d.objid = s.oid AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass JOIN pg_attribute a ON d.refobjid = a.attrelid AND d.refobjsubid = a.attnum WHERE s.relkind = 'S' AND d.deptype in ('a', 'i') AND pg_catalog.pg_table_is_visible(s.oid) AND a.attrelid = 'orders'::regclass;
-- Prisma.
SELECT "public"."orders"."id", "public"."orders"."total" FROM "public"."orders" WHERE ("public"."orders"."id" = $1 AND 1=1) LIMIT $2 OFFSET $3;
SELECT "public"."orders"."id" FROM "public"."orders" WHERE "public"."orders"."status" IN ($1,$2) ORDER BY "public"."orders"."id" ASC OFFSET $3;
SELECT COUNT(*) FROM (SELECT "public"."orders"."id" FROM "public"."orders" WHERE 1=1 OFFSET $1) AS "sub";
SELECT "t1"."id", "t1"."name", "customers_orders"."__prisma_data__" AS "orders" FROM "public"."customers" AS "t1" LEFT JOIN LATERAL (SELECT COALESCE(JSONB_AGG("__prisma_data__"), '[]') AS "__prisma_data__" FROM (SELECT "t3"."__prisma_data__" FROM (SELECT JSONB_BUILD_OBJECT('id', "t2"."id", 'total', "t2"."total") AS "__prisma_data__" FROM (SELECT "t2".* FROM "public"."orders" AS "t2" WHERE "t1"."id" = "t2"."customer_id") AS "t2") AS "t3") AS "t4") AS "customers_orders" ON TRUE;
INSERT INTO "public"."orders" ("customer_id","total") VALUES ($1,$2) RETURNING "public"."orders"."id";
UPDATE "public"."orders" SET "status" = $1 WHERE ("public"."orders"."id" = $2 AND 1=1) RETURNING "public"."orders"."id", "public"."orders"."status";
DELETE FROM "public"."orders" WHERE ("public"."orders"."id" = $1 AND 1=1);
SELECT "j0"."id" FROM "public"."customers" AS "j0" WHERE ("j0"."id") IN (SELECT "t1"."customer_id" FROM "public"."orders" AS "t1" WHERE "t1"."customer_id" IS NOT NULL);
-- Hibernate.
select o1_0.id,o1_0.customer_id,o1_0.total from orders o1_0 where o1_0.id=$1;
select o1_0.id,c1_0.id,c1_0.name from orders o1_0 left join customers c1_0 on c1_0.id=o1_0.customer_id where o1_0.id=$1;
select o1_0.id from orders o1_0 where o1_0.status like $1 escape '' order by o1_0.id fetch first $2 rows only;
select o1_0.id from orders o1_0 order by o1_0.id offset $1 rows fetch first $2 rows only;
select distinct c1_0.id,c1_0.name from customers c1_0 join orders o1_0 on c1_0.id=o1_0.customer_id where o1_0.total>$1;
select count(o1_0.id) from orders o1_0 where extract(year from o1_0.created_at)=$1;
select nextval('orders_id_seq');
select next_val as id_val from (select nextval('orders_id_seq') as next_val) s;
insert into orders (customer_id,note,status,total,id) values ($1,$2,$3,$4,$5);
insert into orders (customer_id,total) values ($1,$2) returning id;
update orders set customer_id=$1,note=$2,status=$3,total=$4 where id=$5;
delete from orders where id=$1;
select o1_0.id from orders o1_0 where o1_0.id=$1 for no key update;
select o1_0.id from orders o1_0 where o1_0.id=$1 for share;
select 1 where exists(select 1 from orders o1_0 where o1_0.customer_id=$1);
select cast(o1_0.total as text) from orders o1_0 where o1_0.status is distinct from $1;
select o1_0.id,row_number() over(partition by o1_0.customer_id order by o1_0.created_at desc nulls last) from orders o1_0;
select o1_0.status,sum(o1_0.total) filter (where o1_0.total>0) from orders o1_0 group by o1_0.status;
select listagg.v from (select string_agg(o.status,',' order by o.id) v from orders o) listagg;
-- ActiveRecord.
SELECT "orders".* FROM "orders" WHERE "orders"."id" = $1 LIMIT $2;
SELECT "orders".* FROM "orders" WHERE "orders"."status" = $1 ORDER BY "orders"."created_at" DESC, "orders"."id" ASC LIMIT $2 OFFSET $3;
SELECT 1 AS one FROM "orders" WHERE "orders"."customer_id" = $1 LIMIT $2;
SELECT COUNT(*) FROM "orders" WHERE "orders"."total" BETWEEN $1 AND $2;
SELECT SUM("orders"."total") FROM "orders";
SELECT "orders"."status" AS "orders_status", COUNT(*) AS "count_all" FROM "orders" GROUP BY "orders"."status";
SELECT "customers".* FROM "customers" INNER JOIN "orders" ON "orders"."customer_id" = "customers"."id" WHERE "orders"."status" IN ($1, $2) GROUP BY "customers"."id" HAVING (COUNT(orders.id) > 2);
SELECT DISTINCT "customers"."id", "customers"."name" AS alias_0 FROM "customers" LEFT OUTER JOIN "orders" ON "orders"."customer_id" = "customers"."id" ORDER BY "customers"."name" ASC LIMIT $1;
SELECT "items".* FROM "items" WHERE "items"."order_id" IN ($1, $2, $3);
INSERT INTO "orders" ("customer_id", "total", "status", "created_at") VALUES ($1, $2, $3, $4) RETURNING "id";
INSERT INTO "customers" ("name","email") VALUES ('a', 'b') ON CONFLICT ("email") DO UPDATE SET updated_at=(CASE WHEN ("customers"."name" IS NOT DISTINCT FROM excluded."name") THEN "customers".updated_at ELSE CURRENT_TIMESTAMP END),"name"=excluded."name" RETURNING "id";
UPDATE "orders" SET "status" = $1, "note" = $2 WHERE "orders"."id" = $3;
UPDATE "items" SET "qty" = COALESCE("qty", 0) + $1 WHERE "items"."id" = $2;
DELETE FROM "items" WHERE "items"."id" = $1;
SELECT "schema_migrations"."version" FROM "schema_migrations" ORDER BY "schema_migrations"."version" ASC;
SELECT a.attname, format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid, a.atttypmod, c.collname, col_description(a.attrelid, a.attnum) AS comment, attidentity AS identity, attgenerated as attgenerated FROM pg_attribute a LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum LEFT JOIN pg_type t ON a.atttypid = t.oid LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation WHERE a.attrelid = '"orders"'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum;
SELECT c.relname FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY (current_schemas(false)) AND c.relname = 'orders' AND c.relkind IN ('r','v','m','p','f');
SELECT a.attname FROM ( SELECT indrelid, indkey, generate_subscripts(indkey, 1) idx FROM pg_index WHERE indrelid = '"orders"'::regclass AND indisprimary ) i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[i.idx] ORDER BY i.idx;
SELECT pg_advisory_unlock(3854226402180745200);
SELECT t.oid, t.typname, t.typelem, t.typdelim, t.typinput, r.rngsubtype, t.typtype, t.typbasetype FROM pg_type as t LEFT JOIN pg_range as r ON oid = rngtypid WHERE t.typname IN ('int2', 'int4');
-- Ecto.
SELECT o0."id", o0."total", o0."status" FROM "orders" AS o0 WHERE (o0."id" = $1);
SELECT o0."id", c1."name" FROM "orders" AS o0 INNER JOIN "customers" AS c1 ON c1."id" = o0."customer_id" WHERE (o0."total" > $1) ORDER BY o0."id" DESC LIMIT $2;
SELECT count(o0."id") FROM "orders" AS o0 WHERE (o0."status" = ANY($1));
SELECT o0."status", coalesce(sum(o0."total"), 0) FROM "orders" AS o0 GROUP BY o0."status";
SELECT DISTINCT ON (o0."customer_id") o0."id" FROM "orders" AS o0 ORDER BY o0."customer_id", o0."created_at" DESC;
SELECT o0."id" FROM "orders" AS o0 WHERE (o0."created_at" > $1::timestamp + (($2)::numeric * interval '1 day'));
SELECT s0."version"::bigint FROM "schema_migrations" AS s0 FOR UPDATE;
INSERT INTO "orders" ("status","total","customer_id") VALUES ($1,$2,$3) RETURNING "id";
INSERT INTO "customers" AS c0 ("email","name") VALUES ($1,$2) ON CONFLICT ("email") DO UPDATE SET "name" = EXCLUDED."name";
INSERT INTO "schema_migrations" ("version","inserted_at") VALUES ($1,$2);
UPDATE "orders" AS o0 SET "status" = $1 WHERE (o0."id" = $2) RETURNING o0."id";
UPDATE "orders" AS o0 SET "note" = c1."name" FROM "customers" AS c1 WHERE (c1."id" = o0."customer_id");
DELETE FROM "items" AS i0 WHERE (i0."order_id" = $1);
DELETE FROM "items" AS i0 USING "orders" AS o1 WHERE (o1."id" = i0."order_id") AND (o1."status" = 'x');
SELECT t0."id" FROM (SELECT so0."id" AS "id" FROM "orders" AS so0) AS t0 UNION ALL (SELECT c0."id" FROM "customers" AS c0);
WITH "tree" AS (SELECT so0."id" AS "id" FROM "orders" AS so0) SELECT t0."id" FROM "tree" AS t0;
SELECT fragment.x FROM jsonb_to_recordset($1::jsonb) AS fragment(x int, y text);
-- By hand: reports, upserts, queues.
SELECT c.name, o.total FROM customers c JOIN orders o ON o.customer_id = c.id WHERE o.total > 100 ORDER BY o.total DESC LIMIT 10;
SELECT date_trunc('day', created_at) AS day, count(*) FROM orders WHERE created_at >= now() - interval '30 days' GROUP BY day ORDER BY day;
SELECT status, count(*), round(avg(total), 2), percentile_cont(0.95) WITHIN GROUP (ORDER BY total) FROM orders GROUP BY status;
SELECT customer_id, total, sum(total) OVER w, lag(total) OVER w FROM orders WINDOW w AS (PARTITION BY customer_id ORDER BY created_at);
SELECT d::date, coalesce(count(o.id), 0) FROM generate_series(now() - interval '7 days', now(), interval '1 day') d LEFT JOIN orders o ON o.created_at::date = d::date GROUP BY 1 ORDER BY 1;
SELECT * FROM orders WHERE (customer_id, status) IN ((1, 'open'), (2, 'shut'));
SELECT * FROM orders o WHERE NOT EXISTS (SELECT FROM items i WHERE i.order_id = o.id);
SELECT * FROM orders NATURAL JOIN (SELECT id FROM customers) c;
SELECT * FROM orders JOIN items USING (id);
SELECT o.*, i.sku FROM orders o CROSS JOIN LATERAL (SELECT sku FROM items WHERE order_id = o.id ORDER BY price DESC LIMIT 1) i;
SELECT id FROM orders EXCEPT SELECT order_id FROM items;
(SELECT id FROM orders WHERE status = 'a' LIMIT 1) UNION (SELECT id FROM orders WHERE status = 'b' LIMIT 1) ORDER BY id;
SELECT grouping(status), status, customer_id, sum(total) FROM orders GROUP BY GROUPING SETS ((status), (customer_id), ());
SELECT status, count(*) FROM orders GROUP BY ROLLUP (status);
WITH done AS (DELETE FROM items WHERE order_id = 1 RETURNING *) INSERT INTO items SELECT * FROM done;
WITH next AS (SELECT id FROM orders WHERE status = 'queued' ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1) UPDATE orders SET status = 'running' FROM next WHERE orders.id = next.id RETURNING orders.*;
WITH totals AS MATERIALIZED (SELECT customer_id, sum(total) AS t FROM orders GROUP BY 1) SELECT c.name, t FROM totals JOIN customers c ON c.id = totals.customer_id;
INSERT INTO orders DEFAULT VALUES;
INSERT INTO orders VALUES (DEFAULT, 1, 2, 'open', NULL, DEFAULT, NULL);
INSERT INTO orders (customer_id, total) SELECT id, 0 FROM customers WHERE active;
INSERT INTO customers (id, name) OVERRIDING SYSTEM VALUE VALUES (1, 'a');
INSERT INTO customers (name, email) VALUES ('a', 'b') ON CONFLICT ON CONSTRAINT customers_email_key DO UPDATE SET name = excluded.name WHERE customers.name <> excluded.name;
UPDATE orders SET (status, note) = ('a', 'b') WHERE id = 1;
UPDATE orders SET (status, note) = (SELECT name, email FROM customers WHERE id = 1) WHERE id = 1;
UPDATE customers SET settings = jsonb_set(settings, '{theme}', '"dark"'), tags[1] = 'x', updated_at = now() WHERE id = 1;
UPDATE ONLY orders SET status = DEFAULT WHERE id = 1;
MERGE INTO items i USING orders o ON i.order_id = o.id WHEN MATCHED AND o.status = 'x' THEN DELETE WHEN MATCHED THEN UPDATE SET qty = i.qty + 1 WHEN NOT MATCHED THEN INSERT (order_id, sku) VALUES (o.id, 'new');
TABLE customers;
VALUES (1, 'a'), (2, 'b');
SELECT ARRAY[1,2,3] || 4, (ARRAY[1,2,3])[2], (ARRAY[1,2,3])[1:2];
SELECT ROW(1, 'a'), ROW(1, 2) = ROW(1, 2);
SELECT name COLLATE "C" FROM customers ORDER BY name COLLATE "C";
SELECT 'good'::mood, 'x'::varchar(10), '1'::numeric(10, 2), '{1,2}'::int[], '2020-01-01'::date;
SELECT greatest(1, 2), least(1, 2), nullif(1, 2), coalesce(NULL, 1);
SELECT substring(name from '^.'), trim(both ' ' from name), position('a' in name), overlay(name placing 'x' from 1 for 1) FROM customers;
SELECT name FROM customers WHERE name ILIKE 'a%' AND name !~* 'b' AND name NOT LIKE '%c' AND name SIMILAR TO '(a|b)%';
SELECT settings->'a'->>0, settings#>>'{a,b}', settings ? 'a', settings ?| ARRAY['a'], settings - 'a' FROM customers;
SELECT to_char(created_at, 'YYYY-MM-DD'), age(created_at), created_at AT TIME ZONE 'UTC' FROM orders;
SELECT to_tsvector('english', note) @@ plainto_tsquery('english', 'word') FROM orders;
SELECT count(DISTINCT customer_id), array_agg(id ORDER BY id), bool_or(total > 1), string_agg(status, ',') FROM orders;
SELECT (o).id, (o).total FROM orders o;
SELECT (jsonb_each(settings)).key FROM customers;
SELECT x.* FROM json_to_record('{"a":1}') AS x(a int, b text);
SELECT unnest(tags) AS tag, count(*) FROM customers GROUP BY tag;
SELECT t.tag, t.n FROM customers, unnest(tags) WITH ORDINALITY AS t(tag, n);
SELECT * FROM orders TABLESAMPLE BERNOULLI (10);
SELECT * FROM orders ORDER BY total FETCH FIRST 5 ROWS WITH TIES;
SELECT * FROM orders ORDER BY total USING > LIMIT 5;
SELECT o.ctid, o.xmin, o.tableoid::regclass FROM orders o;
SELECT f(1), public.f(2);
SELECT currval('seq'), nextval('public.seq'), setval('seq', 10, true);
SELECT random(), gen_random_uuid(), md5('a'), encode(sha256('a'), 'hex');
SELECT pg_get_serial_sequence('orders', 'id');
SELECT xmlelement(name a, xmlattributes(1 AS b), 'text'), xmlforest(1 AS c);
SELECT xmlserialize(content '<a/>'::xml AS text), '<a/>'::xml IS DOCUMENT;
SELECT 1 OPERATOR(pg_catalog.+) 2, 'a' OPERATOR(pg_catalog.~) 'a';
SELECT (SELECT count(*) FROM orders) AS orders, (SELECT count(*) FROM customers) AS customers;
SELECT (DATE '2001-02-16', DATE '2001-12-21') OVERLAPS (DATE '2001-10-30', DATE '2002-10-30');
SELECT count(*) FILTER (WHERE status = 'open') AS open FROM orders;
SELECT id, ntile(4) OVER (ORDER BY total), first_value(id) OVER (ORDER BY total ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW EXCLUDE TIES) FROM orders;
SELECT make_date(year => 2020, month => 1, day => 2);
SELECT concat_ws(',', VARIADIC ARRAY['a', 'b']);
SELECT E'a\nb', U&'d\0061t', B'101', X'1F', $q$it's$q$;
-- psql 15: what its \d commands send that is not introspection.
SELECT pg_catalog.pg_get_viewdef('16452'::pg_catalog.oid, true);
SELECT spcname AS "Name",
  pg_catalog.pg_get_userbyid(spcowner) AS "Owner",
  pg_catalog.pg_tablespace_location(oid) AS "Location"
FROM pg_catalog.pg_tablespace
ORDER BY 1;
SELECT um.srvname AS "Server",
  um.usename AS "User name"
FROM pg_catalog.pg_user_mappings um
ORDER BY 1, 2;
SELECT oid as "ID",
  pg_catalog.pg_get_userbyid(lomowner) as "Owner",
  pg_catalog.obj_description(oid, 'pg_largeobject') as "Description"
FROM pg_catalog.pg_largeobject_metadata
ORDER BY oid;
SELECT rolname AS "Role", datname AS "Database",
pg_catalog.array_to_string(setconfig, E'\n') AS "Settings"
FROM pg_catalog.pg_db_role_setting s
LEFT JOIN pg_catalog.pg_database d ON d.oid = setdatabase
LEFT JOIN pg_catalog.pg_roles r ON r.oid = setrole
ORDER BY 1, 2;
SELECT s.name AS "Parameter", pg_catalog.current_setting(s.name) AS "Value"
FROM pg_catalog.pg_settings s
WHERE s.source <> 'default' AND
      s.setting IS DISTINCT FROM s.boot_val
ORDER BY 1;
SELECT 'f'::pg_catalog.regproc::pg_catalog.oid;
SELECT pg_catalog.pg_get_functiondef(16462);
SELECT 'open_orders'::pg_catalog.regclass::pg_catalog.oid;
-- pg_dump, pgbench and vacuumdb 15.
SELECT pg_catalog.pg_is_in_recovery();
SET DATESTYLE = ISO;
SET INTERVALSTYLE = POSTGRES;
SET extra_float_digits TO 3;
SET synchronize_seqscans TO off;
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
BEGIN;
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;
SELECT oid, rolname FROM pg_catalog.pg_roles ORDER BY 1;
SELECT x.tableoid, x.oid, x.extname, n.nspname, x.extrelocatable, x.extversion, x.extconfig, x.extcondition FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace;
SELECT classid, objid, refobjid FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e' ORDER BY 3;
SELECT n.tableoid, n.oid, n.nspname, n.nspowner, n.nspacl, acldefault('n', n.nspowner) AS acldefault FROM pg_namespace n;
SELECT c.tableoid, c.oid, c.relname, c.relnamespace, c.relkind, c.reltype, c.relowner, c.relchecks, c.relhasindex, c.relhasrules, c.relpages, c.relhastriggers, c.relpersistence, c.reloftype, c.relacl, acldefault(CASE WHEN c.relkind = 'S' THEN 's'::"char" ELSE 'r'::"char" END, c.relowner) AS acldefault, CASE WHEN c.relkind = 'f' THEN (SELECT ftserver FROM pg_catalog.pg_foreign_table WHERE ftrelid = c.oid) ELSE 0 END AS foreignserver, c.relfrozenxid, tc.relfrozenxid AS tfrozenxid, tc.oid AS toid, tc.relpages AS toastpages, tc.reloptions AS toast_reloptions, d.refobjid AS owning_tab, d.refobjsubid AS owning_col, tsp.spcname AS reltablespace, false AS relhasoids, c.relispopulated, c.relreplident, c.relrowsecurity, c.relforcerowsecurity, c.relminmxid, tc.relminmxid AS tminmxid, array_remove(array_remove(c.reloptions,'check_option=local'),'check_option=cascaded') AS reloptions, CASE WHEN 'check_option=local' = ANY (c.reloptions) THEN 'LOCAL'::text WHEN 'check_option=cascaded' = ANY (c.reloptions) THEN 'CASCADED'::text ELSE NULL END AS checkoption, am.amname, (d.deptype = 'i') IS TRUE AS is_identity_sequence, c.relispartition AS ispartition
FROM pg_class c
LEFT JOIN pg_depend d ON (c.relkind = 'S' AND d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0 AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i'))
LEFT JOIN pg_tablespace tsp ON (tsp.oid = c.reltablespace)
LEFT JOIN pg_am am ON (c.relam = am.oid)
LEFT JOIN pg_class tc ON (c.reltoastrelid = tc.oid AND tc.relkind = 't' AND c.relkind <> 'p')
WHERE c.relkind IN ('r', 'S', 'v', 'c', 'm', 'f', 'p')
ORDER BY c.oid;
SELECT p.tableoid, p.oid, p.proname, p.prolang, p.pronargs, p.proargtypes, p.prorettype, p.proacl, acldefault('f', p.proowner) AS acldefault, p.pronamespace, p.proowner FROM pg_proc p LEFT JOIN pg_init_privs pip ON (p.oid = pip.objoid AND pip.classoid = 'pg_proc'::regclass AND pip.objsubid = 0) WHERE p.prokind <> 'a'
  AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'i')
  AND (
  pronamespace != (SELECT oid FROM pg_namespace WHERE nspname = 'pg_catalog')
  OR EXISTS (SELECT 1 FROM pg_cast
  WHERE pg_cast.oid > 16383
  AND p.oid = pg_cast.castfunc)
  OR EXISTS (SELECT 1 FROM pg_transform
  WHERE pg_transform.oid > 16383 AND
  (p.oid = pg_transform.trffromsql
  OR p.oid = pg_transform.trftosql))
  OR p.proacl IS DISTINCT FROM pip.initprivs);
SELECT tableoid, oid, typname, typnamespace, typacl, acldefault('T', typowner) AS acldefault, typowner, typelem, typrelid, CASE WHEN typrelid = 0 THEN ' '::"char" ELSE (SELECT relkind FROM pg_class WHERE oid = typrelid) END AS typrelkind, typtype, typisdefined, typname[0] = '_' AND typelem != 0 AND (SELECT typarray FROM pg_type te WHERE oid = pg_type.typelem) = oid AS isarray FROM pg_type;
SELECT tableoid, oid, lanname, lanpltrusted, lanplcallfoid, laninline, lanvalidator, lanacl, acldefault('l', lanowner) AS acldefault, lanowner FROM pg_language WHERE lanispl ORDER BY oid;
SELECT p.tableoid, p.oid, p.proname AS aggname, p.pronamespace AS aggnamespace, p.pronargs, p.proargtypes, p.proowner, p.proacl AS aggacl, acldefault('f', p.proowner) AS acldefault FROM pg_proc p LEFT JOIN pg_init_privs pip ON (p.oid = pip.objoid AND pip.classoid = 'pg_proc'::regclass AND pip.objsubid = 0) WHERE p.prokind = 'a' AND (p.pronamespace != (SELECT oid FROM pg_namespace WHERE nspname = 'pg_catalog') OR p.proacl IS DISTINCT FROM pip.initprivs);
SELECT tableoid, oid, oprname, oprnamespace, oprowner, oprkind, oprleft, oprright, oprcode::oid AS oprcode FROM pg_operator;
SELECT tableoid, oid, amname, amtype, amhandler::pg_catalog.regproc AS amhandler FROM pg_am;
SELECT tableoid, oid, opcmethod, opcname, opcnamespace, opcowner FROM pg_opclass;
SELECT tableoid, oid, opfmethod, opfname, opfnamespace, opfowner FROM pg_opfamily;
SELECT tableoid, oid, prsname, prsnamespace, prsstart::oid, prstoken::oid, prsend::oid, prsheadline::oid, prslextype::oid FROM pg_ts_parser;
SELECT tableoid, oid, tmplname, tmplnamespace, tmplinit::oid, tmpllexize::oid FROM pg_ts_template;
SELECT tableoid, oid, dictname, dictnamespace, dictowner, dicttemplate, dictinitoption FROM pg_ts_dict;
SELECT tableoid, oid, cfgname, cfgnamespace, cfgowner, cfgparser FROM pg_ts_config;
SELECT tableoid, oid, fdwname, fdwowner, fdwhandler::pg_catalog.regproc, fdwvalidator::pg_catalog.regproc, fdwacl, acldefault('F', fdwowner) AS acldefault, array_to_string(ARRAY(SELECT quote_ident(option_name) || ' ' || quote_literal(option_value) FROM pg_options_to_table(fdwoptions) ORDER BY option_name), E',
    ') AS fdwoptions FROM pg_foreign_data_wrapper;
SELECT tableoid, oid, srvname, srvowner, srvfdw, srvtype, srvversion, srvacl, acldefault('S', srvowner) AS acldefault, array_to_string(ARRAY(SELECT quote_ident(option_name) || ' ' || quote_literal(option_value) FROM pg_options_to_table(srvoptions) ORDER BY option_name), E',
    ') AS srvoptions FROM pg_foreign_server;
SELECT oid, tableoid, defaclrole, defaclnamespace, defaclobjtype, defaclacl, CASE WHEN defaclnamespace = 0 THEN acldefault(CASE WHEN defaclobjtype = 'S' THEN 's'::"char" ELSE defaclobjtype END, defaclrole) ELSE '{}' END AS acldefault FROM pg_default_acl;
SELECT tableoid, oid, collname, collnamespace, collowner, collencoding FROM pg_collation;
SELECT tableoid, oid, conname, connamespace, conowner FROM pg_conversion;
SELECT tableoid, oid, castsource, casttarget, castfunc, castcontext, castmethod FROM pg_cast c WHERE NOT EXISTS ( SELECT 1 FROM pg_range r WHERE c.castsource = r.rngtypid AND c.casttarget = r.rngmultitypid ) ORDER BY 3,4;
SELECT tableoid, oid, trftype, trflang, trffromsql::oid, trftosql::oid FROM pg_transform ORDER BY 3,4;
SELECT inhrelid, inhparent FROM pg_inherits;
SELECT e.tableoid, e.oid, evtname, evtenabled, evtevent, evtowner, array_to_string(array(select quote_literal(x)  from unnest(evttags) as t(x)), ', ') as evttags, e.evtfoid::regproc as evtfname FROM pg_event_trigger e ORDER BY e.oid;
SELECT conrelid, confrelid FROM pg_constraint JOIN pg_depend ON (objid = confrelid) WHERE contype = 'f' AND refclassid = 'pg_extension'::regclass AND classid = 'pg_class'::regclass;
SELECT
a.attrelid,
a.attnum,
a.attname,
a.atttypmod,
a.attstattarget,
a.attstorage,
t.typstorage,
a.attnotnull,
a.atthasdef,
a.attisdropped,
a.attlen,
a.attalign,
a.attislocal,
pg_catalog.format_type(t.oid, a.atttypmod) AS atttypname,
array_to_string(a.attoptions, ', ') AS attoptions,
CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation ELSE 0 END AS attcollation,
pg_catalog.array_to_string(ARRAY(SELECT pg_catalog.quote_ident(option_name) || ' ' || pg_catalog.quote_literal(option_value) FROM pg_catalog.pg_options_to_table(attfdwoptions) ORDER BY option_name), E',
    ') AS attfdwoptions,
a.attcompression AS attcompression,
a.attidentity,
CASE WHEN a.atthasmissing AND NOT a.attisdropped THEN a.attmissingval ELSE null END AS attmissingval,
a.attgenerated
FROM unnest('{16385,16398,16414,16427,16432,16437,16442,16445,16452}'::pg_catalog.oid[]) AS src(tbloid)
JOIN pg_catalog.pg_attribute a ON (src.tbloid = a.attrelid) LEFT JOIN pg_catalog.pg_type t ON (a.atttypid = t.oid)
WHERE a.attnum > 0::pg_catalog.int2
ORDER BY a.attrelid, a.attnum;
SELECT a.tableoid, a.oid, adrelid, adnum, pg_catalog.pg_get_expr(adbin, adrelid) AS adsrc
FROM unnest('{16385,16398,16414}'::pg_catalog.oid[]) AS src(tbloid)
JOIN pg_catalog.pg_attrdef a ON (src.tbloid = a.adrelid)
ORDER BY a.adrelid, a.adnum;
SELECT c.tableoid, c.oid, conrelid, conname, pg_catalog.pg_get_constraintdef(c.oid) AS consrc, conislocal, convalidated FROM unnest('{16398}'::pg_catalog.oid[]) AS src(tbloid)
JOIN pg_catalog.pg_constraint c ON (src.tbloid = c.conrelid)
WHERE contype = 'c' ORDER BY c.conrelid, c.conname;
SELECT partrelid FROM pg_partitioned_table WHERE
(SELECT c.oid FROM pg_opclass c JOIN pg_am a ON c.opcmethod = a.oid
WHERE opcname = 'enum_ops' AND opcnamespace = 'pg_catalog'::regnamespace AND amname = 'hash') = ANY(partclass);
SELECT t.tableoid, t.oid, i.indrelid, t.relname AS indexname, pg_catalog.pg_get_indexdef(i.indexrelid) AS indexdef, i.indkey, i.indisclustered, c.contype, c.conname, c.condeferrable, c.condeferred, c.tableoid AS contableoid, c.oid AS conoid, pg_catalog.pg_get_constraintdef(c.oid, false) AS condef, (SELECT spcname FROM pg_catalog.pg_tablespace s WHERE s.oid = t.reltablespace) AS tablespace, t.reloptions AS indreloptions, i.indisreplident, inh.inhparent AS parentidx, i.indnkeyatts AS indnkeyatts, i.indnatts AS indnatts, (SELECT pg_catalog.array_agg(attnum ORDER BY attnum)   FROM pg_catalog.pg_attribute   WHERE attrelid = i.indexrelid AND     attstattarget >= 0) AS indstatcols, (SELECT pg_catalog.array_agg(attstattarget ORDER BY attnum)   FROM pg_catalog.pg_attribute   WHERE attrelid = i.indexrelid AND     attstattarget >= 0) AS indstatvals, i.indnullsnotdistinct FROM unnest('{16385,16398,16414,16427,16432,16437,16445}'::pg_catalog.oid[]) AS src(tbloid)
JOIN pg_catalog.pg_index i ON (src.tbloid = i.indrelid) JOIN pg_catalog.pg_class t ON (t.oid = i.indexrelid) JOIN pg_catalog.pg_class t2 ON (t2.oid = i.indrelid) LEFT JOIN pg_catalog.pg_constraint c ON (i.indrelid = c.conrelid AND i.indexrelid = c.conindid AND c.contype IN ('p','u','x')) LEFT JOIN pg_catalog.pg_inherits inh ON (inh.inhrelid = indexrelid) WHERE (i.indisvalid OR t2.relkind = 'p') AND i.indisready ORDER BY i.indrelid, indexname;
SELECT tableoid, oid, stxname, stxnamespace, stxowner, stxrelid, stxstattarget FROM pg_catalog.pg_statistic_ext;
SELECT c.tableoid, c.oid, conrelid, conname, confrelid, conindid, pg_catalog.pg_get_constraintdef(c.oid) AS condef
FROM unnest('{16385,16398,16414}'::pg_catalog.oid[]) AS src(tbloid)
JOIN pg_catalog.pg_constraint c ON (src.tbloid = c.conrelid)
WHERE contype = 'f' AND conparentid = 0 ORDER BY conrelid, conname;
SELECT t.tgrelid, t.tgname, t.tgfoid::pg_catalog.regproc AS tgfname, pg_catalog.pg_get_triggerdef(t.oid, false) AS tgdef, t.tgenabled, t.tableoid, t.oid, t.tgparentid <> 0 AS tgispartition
FROM unnest('{16385,16398,16414}'::pg_catalog.oid[]) AS src(tbloid)
JOIN pg_catalog.pg_trigger t ON (src.tbloid = t.tgrelid) LEFT JOIN pg_catalog.pg_trigger u ON (u.oid = t.tgparentid) WHERE ((NOT t.tgisinternal AND t.tgparentid = 0) OR t.tgenabled != u.tgenabled) ORDER BY t.tgrelid, t.tgname;
SELECT tableoid, oid, rulename, ev_class AS ruletable, ev_type, is_instead, ev_enabled FROM pg_rewrite ORDER BY oid;
SELECT pol.oid, pol.tableoid, pol.polrelid, pol.polname, pol.polcmd, pol.polpermissive, CASE WHEN pol.polroles = '{0}' THEN NULL ELSE    pg_catalog.array_to_string(ARRAY(SELECT pg_catalog.quote_ident(rolname) from pg_catalog.pg_roles WHERE oid = ANY(pol.polroles)), ', ') END AS polroles, pg_catalog.pg_get_expr(pol.polqual, pol.polrelid) AS polqual, pg_catalog.pg_get_expr(pol.polwithcheck, pol.polrelid) AS polwithcheck FROM unnest('{16385,16398,16414,16427,16432,16437,16442,16445}'::pg_catalog.oid[]) AS src(tbloid)
JOIN pg_catalog.pg_policy pol ON (src.tbloid = pol.polrelid);
SELECT p.tableoid, p.oid, p.pubname, p.pubowner, p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, p.pubviaroot FROM pg_publication p;
SELECT tableoid, oid, prpubid, prrelid, pg_catalog.pg_get_expr(prqual, prrelid) AS prrelqual, (CASE
  WHEN pr.prattrs IS NOT NULL THEN
    (SELECT array_agg(attname)
       FROM
         pg_catalog.generate_series(0, pg_catalog.array_upper(pr.prattrs::pg_catalog.int2[], 1)) s,
         pg_catalog.pg_attribute
      WHERE attrelid = pr.prrelid AND attnum = prattrs[s])
  ELSE NULL END) prattrs FROM pg_catalog.pg_publication_rel pr;
SELECT tableoid, oid, pnpubid, pnnspid FROM pg_catalog.pg_publication_namespace;
SELECT s.tableoid, s.oid, s.subname,
 s.subowner,
 s.subconninfo, s.subslotname, s.subsynccommit,
 s.subpublications,
 s.subbinary,
 s.substream,
 s.subtwophasestate,
 s.subdisableonerr
FROM pg_subscription s
WHERE s.subdbid = (SELECT oid FROM pg_database
                   WHERE datname = current_database());
WITH RECURSIVE w AS ( SELECT d1.objid, d2.refobjid, c2.relkind AS refrelkind FROM pg_depend d1 JOIN pg_class c1 ON c1.oid = d1.objid AND c1.relkind = 'm' JOIN pg_rewrite r1 ON r1.ev_class = d1.objid JOIN pg_depend d2 ON d2.classid = 'pg_rewrite'::regclass AND d2.objid = r1.oid AND d2.refobjid <> d1.objid JOIN pg_class c2 ON c2.oid = d2.refobjid AND c2.relkind IN ('m','v') WHERE d1.classid = 'pg_class'::regclass UNION SELECT w.objid, d3.refobjid, c3.relkind FROM w JOIN pg_rewrite r3 ON r3.ev_class = w.refobjid JOIN pg_depend d3 ON d3.classid = 'pg_rewrite'::regclass AND d3.objid = r3.oid AND d3.refobjid <> w.refobjid JOIN pg_class c3 ON c3.oid = d3.refobjid AND c3.relkind IN ('m','v') ) SELECT 'pg_class'::regclass::oid AS classid, objid, refobjid FROM w WHERE refrelkind = 'm';
SELECT oid, lomowner, lomacl, acldefault('L', lomowner) AS acldefault FROM pg_largeobject_metadata;
SELECT classid, objid, refclassid, refobjid, deptype FROM pg_depend WHERE deptype != 'p' AND deptype != 'e'
UNION ALL
SELECT 'pg_opfamily'::regclass AS classid, amopfamily AS objid, refclassid, refobjid, deptype FROM pg_depend d, pg_amop o WHERE deptype NOT IN ('p', 'e', 'i') AND classid = 'pg_amop'::regclass AND objid = o.oid AND NOT (refclassid = 'pg_opfamily'::regclass AND amopfamily = refobjid)
UNION ALL
SELECT 'pg_opfamily'::regclass AS classid, amprocfamily AS objid, refclassid, refobjid, deptype FROM pg_depend d, pg_amproc p WHERE deptype NOT IN ('p', 'e', 'i') AND classid = 'pg_amproc'::regclass AND objid = p.oid AND NOT (refclassid = 'pg_opfamily'::regclass AND amprocfamily = refobjid)
ORDER BY 1,2;
SELECT DISTINCT attrelid FROM pg_attribute WHERE attacl IS NOT NULL;
SELECT objoid, classoid, objsubid, privtype, initprivs FROM pg_init_privs;
SELECT description, classoid, objoid, objsubid FROM pg_catalog.pg_description ORDER BY classoid, objoid, objsubid;
SELECT label, provider, classoid, objoid, objsubid FROM pg_catalog.pg_seclabels ORDER BY classoid, objoid, objsubid;
SELECT pg_catalog.current_schemas(false);
SELECT pg_catalog.format_type('23'::pg_catalog.oid, NULL);
SELECT format_type(seqtypid, NULL), seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle FROM pg_catalog.pg_sequence WHERE seqrelid = '16384'::oid;
SELECT pg_catalog.pg_get_viewdef('16452'::pg_catalog.oid) AS viewdef;
SELECT last_value, is_called FROM public.customers_id_seq;
SELECT last_value, is_called FROM public.items_id_seq;
SELECT last_value, is_called FROM public.orders_id_seq;
SELECT last_value, is_called FROM public.seq;
begin;
insert into pgbench_branches(bid,bbalance) values(1,0);
insert into pgbench_tellers(tid,bid,tbalance) values (1,1,0);
commit;
select count(*) from pgbench_branches;
select o.n, p.partstrat, pg_catalog.count(i.inhparent) from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on (n.oid = c.relnamespace) cross join lateral (select pg_catalog.array_position(pg_catalog.current_schemas(true), n.nspname)) as o(n) left join pg_catalog.pg_partitioned_table as p on (p.partrelid = c.oid) left join pg_catalog.pg_inherits as i on (c.oid = i.inhparent) where c.relname = 'pgbench_accounts' and o.n is not null group by 1, 2 order by 1 asc limit 1;
UPDATE pgbench_accounts SET abalance = abalance + 3649 WHERE aid = 91008;
SELECT abalance FROM pgbench_accounts WHERE aid = 91008;
UPDATE pgbench_tellers SET tbalance = tbalance + 3649 WHERE tid = 9;
UPDATE pgbench_branches SET bbalance = bbalance + 3649 WHERE bid = 1;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (9, 1, 91008, 3649, CURRENT_TIMESTAMP);
SELECT abalance FROM pgbench_accounts WHERE aid = $1;
SELECT c.relname, ns.nspname FROM pg_catalog.pg_class c
 JOIN pg_catalog.pg_namespace ns ON c.relnamespace OPERATOR(pg_catalog.=) ns.oid
 LEFT JOIN pg_catalog.pg_class t ON c.reltoastrelid OPERATOR(pg_catalog.=) t.oid
 WHERE c.relpersistence OPERATOR(pg_catalog.!=) 't'
 AND c.relkind OPERATOR(pg_catalog.=) ANY (array['r', 'm'])
 ORDER BY c.relpages DESC;
