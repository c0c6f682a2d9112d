// A client on MQTT.js that a test drives: the first line on its standard input says as JSON what to do, "end" on a line of its own
// that it shall disconnect. It says what happens to it in lines of JSON.
const readline = require('node:readline')
const { createRequire } = require('node:module')
const mqtt = createRequire(`${process.argv[2]}/`)('mqtt')

const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`)
const input = readline.createInterface({ input: process.stdin })

const asMessage = (m) => ({ ...m, payload: Buffer.from(m.payload ?? '', 'base64') })

function start({ url, options, will, filters = {}, properties, unsubscribe = [], messages }) {
  if (will) options.will = asMessage(will)
  const client = mqtt.connect(url, { reconnectPeriod: 100, ...options })
  client.on('error', (error) => say({ error: String(error) }))
  client.on('message', (topic, payload, packet) => {
    const { qos, retain, properties } = packet
    say({ topic, payload: payload.toString('base64'), qos, retain, properties })
  })
  client.once('connect', async (connack) => {
    if (messages) {
      await Promise.all(messages.map(asMessage).map((m) => client.publishAsync(m.topic, m.payload, m)))
      await client.endAsync()
      say({ done: true })
      return
    }
    const granted = Object.keys(filters).length > 0 ? await client.subscribeAsync(filters, { properties }) : []
    if (unsubscribe.length > 0) await client.unsubscribeAsync(unsubscribe)
    say({ granted, present: connack.sessionPresent })
  })
  return client
}

let client
input.on('line', async (line) => {
  if (line !== 'end') {
    client = start(JSON.parse(line))
    return
  }
  await client.endAsync()
  process.exit(0)
})
process.on('unhandledRejection', (error) => {
  say({ error: String(error) })
  process.exit(1)
})
