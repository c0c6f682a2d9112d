// A client of Pulso's stream, for Node.js and browsers: prints what devices publish, and goes on after an interruption
// where it was, without a hole. docs/PROTOCOL.md tells what can be said.
const [url = "ws://127.0.0.1:8080/ws", filter = "#"] = globalThis.process?.argv.slice(2) ?? [];
let position = ""; // where we are in the stream: what is before it has been printed
let greeted = false; // the hub has our greeting
let failures = 0; // attempts in a row that came to nothing

// connect holds one connection until it ends, and returns its close code.
function connect() {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, "pulso.v1.json");
    const send = (command) => socket.send(JSON.stringify(command));
    const end = (code) => {
      clearInterval(watch);
      socket.onmessage = socket.onclose = socket.onerror = null; // what an abandoned connection still says comes again on the next one
      socket.close();
      resolve(code);
    };
    let heard = true;
    const watch = setInterval(() => {
      if (!heard) return end(1006); // a network that is gone does not say so
      heard = false;
      if (socket.readyState === WebSocket.OPEN) send({ id: 3, ping: {} });
    }, 20_000);
    socket.onopen = () => {
      // from: what came after this position comes first. Empty: from now on.
      send({ id: 1, subscribe: { filters: [filter], form: "events", delivery: "every", from: position } });
      if (!greeted) send({ id: 2, publish: { topic: "examples/javascript", payload: { hello: "hub" }, qos: 1 } });
    };
    socket.onmessage = ({ data }) => {
      heard = true;
      failures = 0;
      receive(JSON.parse(data));
    };
    socket.onclose = ({ code }) => end(code);
    socket.onerror = () => end(1006); // Node.js 20 says no close after a connection that was refused
  });
}

// receive takes one message: a reply, or a frame of events with the position after it.
function receive({ subscribed, published, error, gap, events = [], position: after }) {
  if (error) console.error(`error: ${error.code}: ${error.message}`);
  if (published) greeted = true;
  if (position && subscribed?.recovered === false)
    console.error(`gap: after ${position}, of unknown size: the hub has another log`);
  if (gap) console.error(`gap: ${gap.events} events of the log are lost from ${gap.from} to ${gap.to}: ${gap.reason}`);
  for (const e of events)
    console.log(e.topic, "payload" in e ? JSON.stringify(e.payload) : (e.payload_text ?? e.payload_base64));
  position = subscribed?.position ?? gap?.to ?? after ?? position;
}

let code = await connect();
for (; code < 4500; code = await connect()) {
  // Longer each time, up to half a minute, and by chance, so that a thousand clients do not come back at once.
  const wait = Math.random() * Math.min(30_000, 500 * 2 ** failures++);
  console.error(`connection ended (${code}), next attempt in ${Math.round(wait)} ms`);
  await new Promise((resolve) => setTimeout(resolve, wait));
}
console.error(`the hub does not want this client (${code}): it must change before it comes back`);
globalThis.process?.exit(1);
