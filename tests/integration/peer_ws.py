#!/usr/bin/env python3
"""The vendor's WebSocket on python3-websockets, scripted: peer_ws.py SCENARIO [plain|good|host|expired|self].

Says `conn N` for each upgrade, `auth ok|bad`, `sub PAIRS`, `unsub PAIRS`, and what a scenario adds."""
import asyncio
import http
import json
import struct
import sys

import websockets
from websockets.legacy.server import serve

from peer_common import KEY, port_of, ready, run, say, tls_context

connections = 0


def status(word, message):
    return {"ev": "status", "status": word, "message": message}


def trade(i, sym="AAPL"):
    return {"ev": "T", "sym": sym, "x": 4, "i": str(i), "z": 3, "p": 100 + i / 100, "s": 10, "t": 1700000000000 + i, "q": i}


def dump(*events):
    return json.dumps(list(events))


class Client:
    """One connection, with the vendor's manners; scenarios override."""

    def __init__(self, ws, number):
        self.ws, self.number, self.held = ws, number, []

    async def send(self, *events):
        await self.ws.send(dump(*events))

    async def greet(self):
        await self.send(status("connected", "Connected Successfully"))
        message = json.loads(await self.ws.recv())
        ok = message == {"action": "auth", "params": KEY}
        say("auth", "ok" if ok else "bad")
        if not ok:
            await self.send(status("auth_failed", "authentication failed"))
        return ok

    async def welcome(self):
        await self.send(status("auth_success", "authenticated"))

    async def subscribed(self, pairs):
        await self.send(*[status("success", "subscribed to: " + p) for p in pairs])

    async def unsubscribed(self, pairs):
        await self.send(*[status("success", "unsubscribed to: " + p) for p in pairs])

    async def action(self):
        message = json.loads(await self.ws.recv())
        pairs = message["params"].split(",")
        if message["action"] == "subscribe":
            say("sub", len(pairs), message["params"][:200])
            self.held += pairs
            await self.subscribed(pairs)
        else:
            say("unsub", len(pairs), message["params"][:200])
            await self.unsubscribed(pairs)
        return message["action"]

    async def session(self):
        while True:
            await self.action()

    async def run(self):
        if await self.greet():
            await self.welcome()
            await self.session()


class Normal(Client):
    """Two pairs, then data in every shape, a close by us, and on the second connection only data."""

    async def session(self):
        for _ in range(2):
            await self.action()
        if self.number == 1:
            await self.send(trade(1), trade(2), status("success", "something else"), trade(3))
            bad = dump(trade(4), trade(5), trade(6)).replace('"p": 100.05', '"p": "soon"')
            await self.ws.send(bad)
            await self.ws.send("not json at all")
            await self.ws.send(b"binary")
            await self.ws.send(dump(trade(7))[1:-1])  # a bare object
            text = dump(*[trade(i) for i in range(8, 108)])
            await self.ws.send([text[i:i + 37] for i in range(0, len(text), 37)])  # fragments
            await asyncio.wait_for(await self.ws.ping(b"are you there"), 20)
            say("ponged")
            await self.raw(dump(*[trade(i) for i in range(108, 118)]).encode())
            await self.ws.send(dump(*[trade(i) for i in range(118, 4118)]))  # half a megabyte
            await self.ws.close(1001, "restarting")
            say("closed", self.ws.close_code)
        else:
            await self.send(trade(9000))
            await self.ws.wait_closed()
            say("closed", self.ws.close_code)

    async def raw(self, text):
        """One frame with a 16-bit length, byte by byte."""
        frame = struct.pack("!BBH", 0x81, 126, len(text)) + text
        for i in range(len(frame)):
            self.ws.transport.write(frame[i:i + 1])
            if i < 40 or i % 50 == 0:
                await asyncio.sleep(0.002)


class Silence(Client):
    """From the subscriptions on nothing comes back, not even pongs, and nothing is closed."""

    async def session(self):
        await self.action()
        if self.number == 1:
            self.ws.transport.pause_reading()
            await asyncio.sleep(3600)
        await super().session()


class Pings(Client):
    """Answers pings and is otherwise still: no reason to drop it."""

    async def session(self):
        await self.action()
        await self.ws.wait_closed()


class Drop(Client):
    """Lost without a close frame, as soon as authenticated."""

    async def session(self):
        if self.number <= int(SCENARIO[4:] or 1):
            self.ws.transport.abort()
        else:
            await super().session()


class AuthFailed(Client):
    async def greet(self):
        await self.send(status("connected", "Connected Successfully"))
        message = json.loads(await self.ws.recv())
        await self.send(status("auth_failed", "authentication failed for " + message["params"]))
        self.ws.transport.close()


class Plan(Client):
    async def greet(self):
        await super().greet()
        await self.send(status("auth_failed", "Your plan doesn't include websocket access."))
        self.ws.transport.close()


class AuthTimeout(Client):
    async def welcome(self):
        if self.number == 1:
            await self.send(status("auth_timeout", "No authentication request received."))
            await self.ws.close()
        else:
            await super().welcome()


class Mute(Client):
    """Never greets."""

    async def run(self):
        if self.number == 1:
            await self.ws.wait_closed()
        else:
            await super().run()


class Evicted(Client):
    async def session(self):
        await self.action()
        if self.number == 1:
            await self.send(trade(1), status("max_connections", "Maximum number of websocket connections exceeded."))
            await self.ws.close(1008, "policy")
        await super().session()


class OneBad(Client):
    """One pair of many is refused, and with it any message that holds it."""

    async def subscribed(self, pairs):
        if any(p.endswith("BAD77") for p in pairs):
            await self.send(status("error", "not authorized"))
        else:
            await super().subscribed(pairs)


class TopicBad(Client):
    """Quotes are not in the plan."""

    async def subscribed(self, pairs):
        if any(p.startswith("Q.") for p in pairs):
            await self.send(status("error", "not authorized"))
        else:
            await super().subscribed(pairs)


class Limit(Client):
    """100 pairs can be held; an error for each that is too many, with what fits acknowledged."""

    room = 100

    async def subscribed(self, pairs):
        fit, self.room = pairs[:self.room], max(0, self.room - len(pairs))
        events = [status("success", "subscribed to: " + p) for p in fit]
        events += [status("error", "Subscription limit reached for feed.")] * (len(pairs) - len(fit))
        for e in events:
            await self.send(e)

    async def unsubscribed(self, pairs):
        self.room += len(pairs)
        await super().unsubscribed(pairs)


class Unknown(Client):
    """An unknown topic is met with silence."""

    async def subscribed(self, pairs):
        await super().subscribed([p for p in pairs if not p.startswith("Q.")])


class Broken(Client):
    """A masked frame from a server."""

    async def session(self):
        await self.action()
        if self.number == 1:
            self.ws.transport.write(b"\x81\x84abcdabcd")
        await super().session()


class Flood(Client):
    """Trades as fast as they go."""

    async def session(self):
        await self.action()
        for i in range(0, 200000, 1000):
            await self.ws.send(dump(*[trade(i + k + 1) for k in range(1000)]))
        await self.ws.ping()
        await super().session()


REFUSALS = {
    "http401": (401, b'{"status":"ERROR","error":"Unknown API Key"}'),
    "http403": (403, b"forbidden"),
    "http403plan": (403, b"Your plan doesn't include websocket access."),
    "http429": (429, b""),
    "http503": (503, b"<html>busy</html>"),
    "http302": (302, b""),
}


async def refuse(path, headers):
    say("path", path, "host", headers["Host"], "key" if KEY in str(headers) + path else "nokey")
    global connections
    if SCENARIO in REFUSALS:
        connections += 1
        if connections == 1:
            code, body = REFUSALS[SCENARIO]
            extra = [("Location", "http://127.0.0.1:1/")] if code == 302 else []
            return http.HTTPStatus(code), extra, body
        connections -= 1
    return None


async def handle(ws):
    global connections
    connections += 1
    say("conn", connections)
    try:
        await SCENARIOS.get(SCENARIO.rstrip("0123456789"), Client)(ws, connections).run()
    except (websockets.ConnectionClosed, OSError):
        say("gone", ws.close_code)


SCENARIOS = {
    "normal": Normal, "silence": Silence, "pings": Pings, "drop": Drop, "auth_failed": AuthFailed, "plan": Plan,
    "auth_timeout": AuthTimeout, "mute": Mute, "evicted": Evicted, "one_bad": OneBad, "topic_bad": TopicBad,
    "limit": Limit, "unknown": Unknown, "broken": Broken, "flood": Flood,
}
SCENARIO = sys.argv[1]


async def main():
    kind = sys.argv[2] if len(sys.argv) > 2 else "plain"
    context, ca = (None, None) if kind == "plain" else tls_context(kind)
    server = await serve(handle, "127.0.0.1", 0, ssl=context, compression=None, process_request=refuse,
                         max_size=None, ping_interval=None, close_timeout=2)
    ready(port_of(server), ca)
    await asyncio.Event().wait()


run(main)
