"""A client of Pulso's stream: prints what devices publish, and goes on after an interruption where it was, without a hole."""
import asyncio
import json
import random
import sys
import websockets  # 10 or later: apt install python3-websockets, or pip install websockets

URL = sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8080/ws"
FILTER = sys.argv[2] if len(sys.argv) > 2 else "#"


class Client:
    position = ""  # where we are in the stream: what is before it has been printed
    greeted = False  # the hub has our greeting
    failures = 0  # attempts in a row that came to nothing

    async def connect(self):
        """Holds one connection until it ends, and returns its close code. The library sees to networks that are gone."""
        try:
            async with websockets.connect(URL, subprotocols=["pulso.v1.json"], max_size=None) as socket:
                # from: what came after this position comes first. Empty: from now on.
                subscribe = {"filters": [FILTER], "form": "events", "delivery": "every", "from": self.position}
                await socket.send(json.dumps({"id": 1, "subscribe": subscribe}))
                if not self.greeted:
                    greeting = {"topic": "examples/python", "payload": {"hello": "hub"}, "qos": 1}
                    await socket.send(json.dumps({"id": 2, "publish": greeting}))
                while True:
                    self.receive(json.loads(await socket.recv()))
        except websockets.ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006
        except (OSError, asyncio.TimeoutError, websockets.WebSocketException):
            return 1006  # there was no connection

    def receive(self, message):
        """Takes one message: a reply, or a frame of events with the position after it."""
        self.failures = 0
        self.greeted = self.greeted or "published" in message
        error, subscribed, gap = (message.get(name, {}) for name in ("error", "subscribed", "gap"))
        if error:
            print("error: {code}: {message}".format(**error), file=sys.stderr)
        if self.position and subscribed.get("recovered") is False:
            print(f"gap: after {self.position}, of unknown size: the hub has another log", file=sys.stderr)
        if gap:
            print("gap: {events} events of the log are lost from {from} to {to}: {reason}".format(**gap), file=sys.stderr)
        for event in message.get("events", []):
            print(event["topic"], json.dumps(event.get("payload", event.get("payload_text", event.get("payload_base64")))), flush=True)
        self.position = subscribed.get("position") or gap.get("to") or message.get("position", self.position)


async def main():
    client = Client()
    while (code := await client.connect()) < 4500:
        # Longer each time, up to half a minute, and by chance, so that a thousand clients do not come back at once.
        wait, client.failures = random.random() * min(30, 2**client.failures / 2), min(client.failures + 1, 10)
        print(f"connection ended ({code}), next attempt in {wait:.1f} s", file=sys.stderr)
        await asyncio.sleep(wait)
    sys.exit(f"the hub does not want this client ({code}): it must change before it comes back")


asyncio.run(main())
