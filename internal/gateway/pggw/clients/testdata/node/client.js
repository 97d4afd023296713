// node-postgres, with its pool. What it does not read from the environment itself
// is its TLS.
const fs = require('fs')
const readline = require('readline')
const { Pool } = require('pg')

const file = (name) => process.env[name] && fs.readFileSync(process.env[name])
const pool = new Pool({
  max: 2,
  pipeline: true,
  ssl: process.env.PGSSLCERT && { ca: file('PGSSLROOTCERT'), cert: file('PGSSLCERT'), key: file('PGSSLKEY') },
})
pool.on('error', () => {}) // a session that ended while it was idle; without this the process would end

const total = 'SELECT id, total FROM orders WHERE id = $1'
const set = 'UPDATE orders SET status = $2 WHERE id = $1'
const status = 'SELECT status FROM orders WHERE id = $1'
const say = (...words) => console.log(...words)
const refusal = (e) => `${e.code} ${e.detail}` + (e.hint ? ', hint' : '')

async function tell(c) {
  const row = async (text, ...values) => Object.values((await c.query(text, values)).rows[0])
  say('select', ...(await row(total, 3)))
  const named = async (id) => (await c.query({ name: 'total', text: total, values: [id] })).rows[0].total
  say('prepared', await named(1), await named(2))
  // In binary the library takes numbers alone, and those whose bytes are UTF-8.
  const binary = (await c.query({ text: total, values: [3], binary: true })).rows[0]
  if (binary.total !== 30) say('binary', binary)

  await c.query('BEGIN')
  await c.query(set, [5, 'paid'])
  await c.query('COMMIT')
  say('transaction', ...(await row(status, 5)))

  await c.query('SELECT card FROM customers').catch((e) => say('denied', refusal(e)))
  say('after', ...(await row('SELECT 7')))

  const codes = []
  await c.query('BEGIN')
  await c.query(set, [6, 'lost'])
  for (const sql of ['SELECT card FROM customers', 'SELECT 1']) await c.query(sql).catch((e) => codes.push(e.code))
  await c.query('ROLLBACK')
  say('failed', ...codes, ...(await row(status, 6)))

  await Promise.all([10, 11, 12].map((id) => c.query(set, [id, 'batch'])))
  say('batch', ...(await row("SELECT count(*) FROM orders WHERE status = 'batch'")))

  const values = [Buffer.from([0, 0xff, 0x5c, 0x27]), "it's \\ ü☃", '-9007199254740993', -0.125]
  const give = 'SELECT $1::bytea AS raw, $2::text AS text, $3::bigint AS long, $4::float8 AS real'
  const r = (await c.query(give, values)).rows[0]
  say('values', r.raw.toString('hex'), r.text, r.long, r.real)
}

async function main() {
  const c = await pool.connect()
  await tell(c)
  c.release()
  say('ready')
  const input = readline.createInterface({ input: process.stdin })
  await new Promise((resolve) => input.once('line', resolve))
  input.close()
  for (let i = 0; i < 50; i++) {
    try {
      say('back', Object.values((await pool.query('SELECT 7')).rows[0])[0])
      break
    } catch (e) {
      await new Promise(setImmediate) // the pool hears of the end of a session
    }
  }
  await pool.end()
}

main().catch((e) => {
  console.log(e)
  process.exit(1)
})
