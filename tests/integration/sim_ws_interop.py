#!/usr/bin/python3
"""polysim's WebSocket side against an independent client, python3-websockets, and against a client that breaks the rules."""
import asyncio
import base64
import json
import os
import socket
import ssl
import struct
import sys

sys.path.insert(0, os.path.dirname(__file__))
from harness import KEY, Place, check, main, until  # noqa: E402

try:
    import websockets
    from websockets.exceptions import ConnectionClosed, InvalidHandshake
except ImportError:
    print("skip: python3-websockets is not installed")
    sys.exit(77)

START = "2026-03-18T11:00"
WAIT = 30


def trust(sim):
    return ssl.create_default_context(cafile=str(sim.folder / "ca.pem"))


def connect(sim, cluster="stocks", tls=False, **kw):
    if tls:
        return websockets.connect("wss://localhost:%s/%s" % (sim.ports["https"], cluster), ssl=trust(sim), **kw)
    return websockets.connect("ws://127.0.0.1:%s/%s" % (sim.ports["http"], cluster), **kw)


async def events(ws):
    return json.loads(await asyncio.wait_for(ws.recv(), WAIT))


async def send(ws, action, params):
    await ws.send(json.dumps({"action": action, "params": params}))


async def opened(ws, subscribe=None):
    """Up to auth_success and, when asked, the acknowledgements."""
    assert await events(ws) == [{"ev": "status", "status": "connected", "message": "Connected Successfully"}]
    await send(ws, "auth", KEY)
    assert await events(ws) == [{"ev": "status", "status": "auth_success", "message": "authenticated"}]
    if subscribe:
        await send(ws, "subscribe", subscribe)
        return await events(ws)
    return None


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 120))


async def gather(ws, enough):
    """Data events until enough(list) is true."""
    got = []
    while not enough(got):
        got += [e for e in await events(ws) if e["ev"] != "status"]
    return got


def session_plain_and_tls():
    async def session(sim, tls):
        async with connect(sim, tls=tls) as ws:
            acks = await opened(ws, "AM.AAPL, AM.MSFT,T.AAPL")
            check([a["message"] for a in acks] == ["subscribed to: " + p for p in ("AM.AAPL", "AM.MSFT", "T.AAPL")],
                  "one acknowledgement a pair, blanks allowed (tls %s)" % tls)
            got = await gather(ws, lambda g: sum(e["ev"] == "AM" for e in g) >= 4)
            bar = next(e for e in got if e["ev"] == "AM")
            check(list(bar)[:16] == "ev sym v av op vw o c h l a z s e".split() + list(bar)[14:16], "keys in the documented order")
            check(bar["e"] - bar["s"] == 60000 and bar["l"] <= min(bar["o"], bar["c"]) <= bar["h"], "a minute's bar")
            await (await ws.ping())
            check(True, "ping is answered")
            await send(ws, "unsubscribe", "T.AAPL")
            while True:
                statuses = [e for e in await events(ws) if e["ev"] == "status"]
                if statuses:
                    break
            check(statuses[0]["message"] == "unsubscribed to: T.AAPL", "unsubscribe is acknowledged")
            await ws.close()
            check(ws.close_code == 1000, "closing handshake")

    with Place() as place:
        sim = place.sim("--speed", 60, "--start", START)
        for tls in (False, True):
            run(session(sim, tls))


def acknowledgements():
    async def session(sim):
        async with connect(sim) as ws:
            acks = await opened(ws, "AM.AAPL,AM.NOSUCH,ZZ.AAPL,T.AAPL")
            check([a["message"] for a in acks] == ["subscribed to: " + p for p in ("AM.AAPL", "AM.NOSUCH", "T.AAPL")],
                  "an unknown ticker is acknowledged, an unknown topic is not")
            await send(ws, "subscribe", "AM.AAPL,AM.NOSUCH,AM.*")
            while True:
                statuses = [e for e in await events(ws) if e["ev"] == "status"]
                if statuses:
                    break
            check([s["message"] for s in statuses] == ["subscribed to: AM.*"], "pairs already held are not acknowledged again")
            await send(ws, "subscribe", "AM.AAPL,NOI.*")
            while True:
                statuses = [e for e in await events(ws) if e["ev"] == "status"]
                if statuses:
                    break
            check(statuses == [{"ev": "status", "status": "error", "message": "not authorized"}], "a topic beyond the plan")

    with Place() as place:
        run(session(place.sim("--start", START)))


def stream_and_history_agree():
    async def session(sim):
        async with connect(sim) as ws:
            await opened(ws, "AM.AAPL,A.AAPL,T.AAPL,AM.SIM0003,A.SIM0003,T.SIM0003")
            return await gather(ws, lambda g: sum(e["ev"] == "AM" and e["sym"] == "AAPL" for e in g) >= 4)

    with Place() as place:
        sim = place.sim("--speed", 60, "--start", START)
        got = run(session(sim))
        for symbol in ("AAPL", "SIM0003"):
            minutes = [e for e in got if e["ev"] == "AM" and e["sym"] == symbol][1:]  # the first began before us
            for bar in minutes:
                inside = [e for e in got if e["sym"] == symbol and e["ev"] == "A" and bar["s"] <= e["s"] < bar["e"]]
                check((inside[0]["o"], inside[-1]["c"]) == (bar["o"], bar["c"]), "%s %d: A.o..A.c = AM" % (symbol, bar["s"]))
                check(max(e["h"] for e in inside) == bar["h"] and min(e["l"] for e in inside) == bar["l"], "highs and lows")
                check(abs(sum(e["v"] for e in inside) - bar["v"]) < 1e-5, "volumes")
                trades = [e for e in got if e["sym"] == symbol and e["ev"] == "T" and bar["s"] <= e["t"] < bar["e"]]
                size = sum(float(e.get("ds", e["s"])) for e in trades)
                check(abs(size - bar["v"]) < 1e-5, "the trades make up the volume")
                check(all(a["q"] < b["q"] for a, b in zip(trades, trades[1:])), "q ascends")
                page = sim.get("/v2/aggs/ticker/%s/range/1/minute/%d/%d" % (symbol, bar["s"], bar["s"]))
                rest = page["results"][0]
                check(all(rest[k] == bar[k] for k in ("o", "h", "l", "c", "v", "vw")) and rest["n"] == len(trades),
                      "REST has the same bar")


def deterministic():
    async def session(sim):
        async with connect(sim) as ws:
            await opened(ws, "AM.AAPL,AM.SIM0001,AM.SPY")
            return await gather(ws, lambda g: sum(e["sym"] == "AAPL" for e in g) >= 3)

    def once(seed):
        with Place() as place:
            sim = place.sim("--seed", seed, "--speed", 120, "--start", START)
            return {(e["sym"], e["s"]): e for e in run(session(sim))}

    one, two, three = once(5), once(5), once(6)
    both = one.keys() & two.keys()
    check(len(both) >= 2 and all(one[k] == two[k] for k in both), "the same seed gives the same bars")
    check(any(one[k] != three.get(k) for k in both), "another seed gives others")


def other_clusters():
    async def session(sim, cluster, subscribe, wanted):
        async with connect(sim, cluster) as ws:
            await opened(ws, subscribe)
            got = await gather(ws, lambda g: wanted <= {e["ev"] for e in g})
            check(True, "%s sends %s" % (cluster, ", ".join(sorted(wanted))))
            return {e["ev"]: e for e in got}

    with Place() as place:
        sim = place.sim("--speed", 60, "--start", START)
        seen = run(session(sim, "crypto", "XT.BTC-USD,XQ.BTC-USD,XA.BTC-USD,XAS.BTC-USD", {"XT", "XQ", "XA", "XAS"}))
        check(isinstance(seen["XT"]["i"], str) and seen["XT"]["c"] in ([1], [2]), "a crypto trade")
        seen = run(session(sim, "forex", "C.EUR/USD,CA.EUR/USD,CAS.EUR/USD", {"C", "CA", "CAS"}))
        check(seen["C"]["p"] == "EUR/USD" and seen["C"]["a"] > seen["C"]["b"], "a forex quote")
        seen = run(session(sim, "indices", "V.I:SPX,A.I:SPX,AM.I:SPX", {"V", "A", "AM"}))
        check("v" not in seen["AM"] and seen["V"]["T"] == "I:SPX", "indices have no volume")
        seen = run(session(sim, "options", "T.*,Q.*,A.*,AM.*", {"T", "Q", "A", "AM"}))
        check(seen["T"]["sym"].startswith("O:") and "i" not in seen["T"], "an option trade")
        run(session(sim, "futures/cme", "T.ESZ6,Q.ESZ6,AM.ESZ6", {"T", "Q", "AM"}))
        run(session(sim, "stocks", "LULD.AAPL,FMV.AAPL,T.AAPL", {"LULD", "FMV"}))


def refusals():
    async def refused(sim, key, message, **kw):
        async with connect(sim, **kw) as ws:
            await events(ws)
            if key:
                await send(ws, "auth", key)
            status = (await events(ws))[0]
            check(status["message"] == message, status["status"] + ": " + message)
            try:
                await ws.recv()
            except ConnectionClosed as e:
                return e.rcvd.code if e.rcvd else None
            raise AssertionError("still open")

    async def starter(sim):
        async with connect(sim) as ws:
            await opened(ws)
            await send(ws, "subscribe", "AM.AAPL,T.AAPL")
            check((await events(ws))[0]["message"] == "not authorized", "the starter plan has no trades; refused in full")
            await send(ws, "subscribe", "AM.AAPL")
            check((await events(ws))[0]["message"] == "subscribed to: AM.AAPL", "but minutes")

    with Place() as place:
        sim = place.sim("--start", START, "--auth-timeout", 0.3)
        check(run(refused(sim, "wrong", "authentication failed")) is None, "dropped without a close frame")
        check(run(refused(sim, None, "No authentication request received.")) == 1008, "closed with 1008")
        free = place.sim("--start", START, "--plan", "free")
        run(refused(free, KEY, "Your plan doesn't include websocket access."))
        run(starter(place.sim("--start", START, "--plan", "starter")))


def eviction():
    async def session(sim):
        async with connect(sim) as old, connect(sim, "crypto") as other:
            await opened(old, "AM.AAPL")
            await opened(other, "XT.BTC-USD")
            async with connect(sim) as new:
                await opened(new, "AM.AAPL")
                status = (await events(old))[-1]
                check(status["status"] == "max_connections", "the older connection hears max_connections")
                try:
                    while True:
                        await events(old)
                except ConnectionClosed as e:
                    check(e.rcvd.code == 1008, "and is closed with 1008")
                await send(new, "subscribe", "AM.MSFT")
                check("AM.MSFT" in str(await events(new)), "the newcomer stays")
                await gather(other, lambda g: len(g) > 0)
                check(True, "another cluster is not touched")

    with Place() as place:
        run(session(place.sim("--start", START, "--speed", 30)))


def shapes():
    """However it is cut up and dressed, the data is the same."""
    async def session(sim, count):
        async with connect(sim) as ws:
            await opened(ws, "T.*,AM.*")
            return await gather(ws, lambda g: len(g) >= count)

    with Place() as place:
        sim = place.sim("--start", START, "--speed", 60)
        for name in ("split-random", "coalesce", "fragment", "mixed", "spaces", "reorder", "numbers", "spread-acks", "duplicates",
                     "backwards", "out-of-order", "unknown-event", "malformed", "ping-flood", "binary"):
            sim.ask("scenario", name=name)
            if name == "spread-acks":
                async def spread():
                    async with connect(sim) as ws:
                        acks = await opened(ws, "AM.AAPL,AM.MSFT")
                        check(len(acks) == 1 and len(await events(ws)) == 1, "spread-acks: one a message")
                run(spread())
                continue
            if name == "binary":
                continue
            got = run(session(sim, 800))
            if name == "malformed":
                check(any("odd" in e.values() for e in got), "malformed: some")
            elif name == "unknown-event":
                check(any(e["ev"] == "ZZ" for e in got), "unknown-event: some")
            elif name == "numbers":
                check(all(e["zz"]["a"][1]["b"] == '}]"' and e["ns"] == 1788877046310003385 for e in got), "numbers: nested keys")
            elif name == "duplicates":
                check(any(a == b for a, b in zip(got, got[1:])), "duplicates: some")
            elif name == "backwards":
                check(any(e.get("q") == 7 for e in got), "backwards: some")
            check(len(got) >= 800, name + ": parses")
        sim.ask("scenario", name="split-bytes")
        run(session(sim, 20))
        check(True, "split-bytes: parses")


def misfortunes():
    """Ends of a connection as the client library sees them."""
    async def closed(sim, subscribe="T.*"):
        async with connect(sim) as ws:
            await opened(ws, subscribe)
            try:
                while True:
                    await asyncio.wait_for(ws.recv(), WAIT)
            except ConnectionClosed as e:
                return (e.rcvd.code if e.rcvd else None, e.sent.code if e.sent else None)

    async def handshake(sim):
        try:
            async with connect(sim, open_timeout=WAIT):
                return "open"
        except InvalidHandshake as e:
            return type(e).__name__

    with Place() as place:
        sim = place.sim("--start", START, "--speed", 60)
        expected = {"drop": (None, 1006), "drop-in-frame": (None, 1006), "reset": (None, 1006), "close-1001": (1001, 1001),
                    "close-1011": (1011, 1011), "huge": (None, 1009), "not-utf8": (None, 1007), "masked": (None, 1002),
                    "reserved-bit": (None, 1002), "bad-opcode": (None, 1002), "long-ping": (None, 1002),
                    "lone-fragment": (None, 1002), "evict-always": (1008, 1008)}
        for name, want in expected.items():
            sim.ask("scenario", name=name)
            got = run(closed(sim))
            same = got == want or (want[1] == 1006 and got[0] is None and got[1] in (None, 1006)) or \
                (got[0] in (None, want[1]) and got[1] == want[1])
            check(same, "%s ends with %s" % (name, got))
        for name, want in {"bad-accept": "InvalidHeaderValue", "no-accept": "InvalidHeader", "upgrade-502": "InvalidStatusCode",
                           "upgrade-429": "InvalidStatusCode"}.items():
            sim.ask("scenario", name=name)
            got = run(handshake(sim))
            check(got in (want, "InvalidHeader"), "%s: %s" % (name, got))
        sim.ask("scenario", name="none")
        check(run(handshake(sim)) == "open", "and none again")


def plug_by_hand():
    async def session(sim):
        async with connect(sim) as ws:
            await opened(ws, "AM.AAPL")
            sim.ask("emit", body='[{"ev":"AM","sym":"AAPL","hello":1}]')
            got = await gather(ws, lambda g: any("hello" in e for e in g))
            check(got[-1]["hello"] == 1, "emit")
            await gather(ws, lambda g: len(g) >= 2)
            t = sim.ask("revise", symbol="AAPL", price=999.5, size=1000)["t"]
            got = await gather(ws, lambda g: any(e["s"] == t and e["h"] == 999.5 for e in g))
            bar = next(e for e in got if e["h"] == 999.5)
            rest = sim.get("/v2/aggs/ticker/AAPL/range/1/minute/%d/%d" % (t, t))["results"][0]
            check(rest["h"] == 999.5 and rest["v"] == bar["v"], "a revised bar comes again, and REST agrees")
            check(sim.ask("do", body="say error not authorized")["sessions"] == 1, "any action by name")
            until(lambda: sim.ask("close", code=1011, reason="x")["ok"], "close")
            try:
                while True:
                    await events(ws)
            except ConnectionClosed as e:
                check(e.rcvd.code == 1011 and e.rcvd.reason == "x", "close by hand")
        async with connect(sim) as ws:
            await opened(ws, "AM.AAPL")
            sim.ask("silence")
            try:
                await asyncio.wait_for(ws.recv(), 1)
                raise AssertionError("not silent")
            except asyncio.TimeoutError:
                check(True, "silence")

    with Place() as place:
        run(session(place.sim("--start", START, "--speed", 120)))


def burst():
    async def session(sim, tls):
        async with connect(sim, tls=tls, max_size=None, ping_interval=None) as ws:
            await opened(ws, "T.*,AM.*")
            sim.ask("burst", topic="T", events=50000, per_message=100, symbols=7)
            got = await gather(ws, lambda g: sum(e.get("q", 0) >= 10**9 for e in g) >= 50000)
            q = [e["q"] for e in got if e.get("q", 0) >= 10**9]
            check(q == list(range(10**9, 10**9 + 50000)), "50,000 trades, q without a gap (tls %s)" % tls)
            sim.ask("burst", topic="AM", symbols=2000)
            got = await gather(ws, lambda g: sum(e["ev"] == "AM" for e in g) >= 2000)
            bars = [e for e in got if e["ev"] == "AM"]
            check(len({e["sym"] for e in bars}) == 2000 and len({e["s"] for e in bars}) == 1, "2,000 symbols, one minute each")

    with Place() as place:
        sim = place.sim("--start", "2026-03-18T01:00", "--symbols", 2000)
        for tls in (False, True):
            run(session(sim, tls))


def as_fast_as_it_is_read():
    async def session(sim):
        async with connect(sim, max_size=None) as ws:
            await opened(ws, "AM.AAPL,AM.SPY")
            return await gather(ws, lambda g: len(g) >= 1500)

    with Place() as place:
        sim = place.sim("--start", "2026-03-18T11:00", "--speed", "max")
        bars = [e for e in run(session(sim)) if e["sym"] == "SPY"]
        check(all(a["s"] < b["s"] for a, b in zip(bars, bars[1:])), "bars of several days in order")
        first, last = bars[0]["s"], bars[-1]["s"]
        page = sim.get("/v2/aggs/ticker/SPY/range/1/minute/%d/%d" % (first, last), limit=50000)["results"]
        check([(b["s"], b["c"], b["v"]) for b in bars] == [(r["t"], r["c"], r["v"]) for r in page], "none is missing")


def certificates():
    async def attempt(sim):
        try:
            async with connect(sim, tls=True):
                return "open"
        except ssl.SSLCertVerificationError as e:
            return e.verify_message

    with Place() as place:
        for kind, word in (("wrong-host", "mismatch"), ("expired", "expired"), ("self-signed", "self")):
            got = run(attempt(place.sim("--start", START, "--cert", kind)))
            check(word in got.lower(), "%s: %s" % (kind, got))


# ------------------------------------------------------------------------------------------ a client that breaks the rules

class Raw:
    def __init__(self, sim):
        self.s = socket.create_connection(("127.0.0.1", int(sim.ports["http"])), timeout=WAIT)
        key = base64.b64encode(os.urandom(16)).decode()
        self.s.sendall(("GET /stocks HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
                        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n" % key).encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += self.s.recv(4096)
        self.buffer = self.buffer.split(b"\r\n\r\n", 1)[1]

    def frame(self, first, payload=b"", mask=True):
        size = len(payload)
        head = bytes([size]) if size < 126 else b"\x7e" + struct.pack(">H", size) if size < 65536 else b"\x7f" + struct.pack(">Q", size)
        if not mask:
            self.s.sendall(bytes([first]) + head + payload)
            return
        key = os.urandom(4)
        self.s.sendall(bytes([first, head[0] | 0x80]) + head[1:] + key + bytes(b ^ key[i % 4] for i, b in enumerate(payload)))

    def take(self, count):
        while len(self.buffer) < count:
            piece = self.s.recv(65536)
            if not piece:
                return None
            self.buffer += piece
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def read(self):
        head = self.take(2)
        if head is None:
            return None
        size = head[1]
        if size == 126:
            size = struct.unpack(">H", self.take(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self.take(8))[0]
        return head[0], self.take(size)

    def closed_with(self):
        while True:
            got = self.read()
            if got is None:
                return None
            if got[0] == 0x88:
                return struct.unpack(">H", got[1][:2])[0] if got[1] else 1005


def rule_breakers():
    auth = json.dumps({"action": "auth", "params": KEY}).encode()
    with Place() as place:
        sim = place.sim("--start", START)
        c = Raw(sim)
        c.read()
        c.frame(0x01, auth[:10])
        c.frame(0x89, b"between")
        c.frame(0x00, auth[10:12])
        c.frame(0x80, auth[12:])
        check(c.read() == (0x8A, b"between"), "a ping between fragments is answered at once")
        check(b"auth_success" in c.read()[1], "a fragmented message is put together")
        c.frame(0x88, struct.pack(">H", 1000) + b"bye")
        check(c.closed_with() == 1000 and c.read() is None, "close is echoed, then the connection ends")
        for what, code, frames in (
                ("an unmasked frame", 1002, [(0x81, auth, False)]), ("a reserved bit", 1002, [(0xC1, auth)]),
                ("a reserved opcode", 1002, [(0x83, auth)]), ("a fragmented ping", 1002, [(0x09, b"")]),
                ("a long ping", 1002, [(0x89, b"x" * 126)]), ("a lone continuation", 1002, [(0x80, b"x")]),
                ("a text within a text", 1002, [(0x01, b"x"), (0x81, b"y")]), ("text that is not UTF-8", 1007, [(0x81, b"\xff")]),
                ("an overlong form", 1007, [(0x81, b"\xc0\xaf")]), ("a close code of one byte", 1002, [(0x88, b"x")]),
                ("close code 1005", 1002, [(0x88, struct.pack(">H", 1005))]),
                ("a close reason that is not UTF-8", 1007, [(0x88, struct.pack(">H", 1000) + b"\xff")]),
                ("a message over 1 MiB", 1009, [(0x01, b"x" * 1000000), (0x80, b"x" * 100000)])):
            c = Raw(sim)
            c.read()
            for f in frames:
                c.frame(*f)
            got = c.closed_with()
            check(got == code, "%s is answered with %s" % (what, got))
        c = Raw(sim)
        c.read()
        for byte in b"\x81" + bytes([0x80 | len(auth)]) + b"\0\0\0\0" + auth:
            c.s.sendall(bytes([byte]))
        check(b"auth_success" in c.read()[1], "a frame that arrives byte by byte")


def slow_reader():
    with Place() as place:
        sim = place.sim("--start", "2026-03-18T09:30", "--speed", 300, "--send-buffer", 65536)
        c = Raw(sim)
        c.read()
        c.frame(0x81, json.dumps({"action": "auth", "params": KEY}).encode())
        c.read()
        c.frame(0x81, json.dumps({"action": "subscribe", "params": "T.*,Q.*"}).encode())
        until(lambda: json.loads(sim_stats(sim))["slow_drops"] == 1, "the slow reader is dropped")
        check(True, "a reader that does not read is dropped")


def sim_stats(sim):
    import urllib.request
    with urllib.request.urlopen(sim.http + "/sim/stats", timeout=WAIT) as answer:
        return answer.read()


main(session_plain_and_tls, acknowledgements, stream_and_history_agree, deterministic, other_clusters, refusals, eviction, shapes,
     misfortunes, plug_by_hand, burst, as_fast_as_it_is_read, certificates, rule_breakers, slow_reader)
