#!/usr/bin/env python3
"""A REST server for the tests, scripted by ticker: peer_http.py [plain|good|host|expired|self] | echo KIND | proxy."""
import asyncio
import gzip
import json
import sys

from peer_common import KEY, echo_server, port_of, proxy_server, ready, run, say, tls_context

seen = {}
connections = 0


def rows(first, count):
    return [{"t": 1700000000000 + 60000 * i, "o": 1.5, "h": 2, "l": 1, "c": 1.25, "v": 1.5e+06, "vw": 1.4, "n": 7}
            for i in range(first, first + count)]


def page(results=None, **more):
    body = {"status": "OK", "request_id": "0123", "ticker": "X", **more}
    if results is not None:
        body["results"] = results
        body.setdefault("resultsCount", len(results))
    return body


class Answer:
    def __init__(self, status=200, body=b"", headers=(), drop=False, cut=False, delay=0):
        self.status, self.headers, self.drop, self.cut, self.delay = status, list(headers), drop, cut, delay
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()


def good(path, base, times):
    n = int(path.partition("cursor=")[2] or 0)
    more = {"next_url": "%s/v2/aggs/ticker/GOOD/range/1/minute/1/2?cursor=%d" % (base, n + 1)} if n < 2 else {}
    return Answer(body=page(rows(100 * n, 100), **more))


HTML = b"<html><body>502 Bad Gateway</body></html>"
ERROR = {"status": "ERROR", "request_id": "1", "error": "You've exceeded the maximum requests per minute"}
TICKERS = {
    "GOOD": good,
    "EMPTY": lambda p, b, n: Answer(body=page(resultsCount=0)),
    "DELAYED": lambda p, b, n: Answer(body=dict(page(rows(0, 2)), status="DELAYED")),
    "WAIT1": lambda p, b, n: Answer(429, ERROR, [("Retry-After", "1")]) if n == 1 else Answer(body=page(rows(0, 1))),
    "WAIT0": lambda p, b, n: Answer(429, b"", [("Retry-After", "0")]) if n == 1 else Answer(body=page(rows(0, 1))),
    "HTML": lambda p, b, n: Answer(502, HTML) if n < 3 else Answer(body=page(rows(0, 4))),
    "BAD200": lambda p, b, n: Answer(200, HTML) if n < 2 else Answer(body=page(rows(0, 4))),
    "DOWN": lambda p, b, n: Answer(503, b""),
    "CUT": lambda p, b, n: Answer(body=page(rows(0, 50)), cut=n == 1),
    "DROP": lambda p, b, n: Answer(drop=True) if n == 1 else Answer(body=page(rows(0, 5))),
    "FOREIGN": lambda p, b, n: Answer(body=page(rows(0, 3), next_url=b.replace("127.0.0.1", "localhost") + "/steal")),
    "LISTED": lambda p, b, n: Answer(body=page(rows(0, 3), **(
        {} if "cursor" in p else {"next_url": b.replace("127.0.0.1", "localhost") + "/v2/aggs/ticker/LISTED/?cursor=1"}))),
    "LOOP": lambda p, b, n: Answer(body=page(rows(0, 3), next_url=b + "/v2/aggs/ticker/LOOP/?cursor=%d" % (n % 2))),
    "DENIED": lambda p, b, n: Answer(403, {"status": "NOT_AUTHORIZED", "message": "You are not entitled to this data."}),
    "BADKEY": lambda p, b, n: Answer(401, {"status": "ERROR", "error": "Unknown API Key " + KEY}),
    "OTHER": lambda p, b, n: Answer(body=page(rows(0, 3), ticker="MSFT")),
    "SHORT": lambda p, b, n: Answer(body=page(rows(0, 30) if n == 1 else rows(0, 40), resultsCount=40)),
    "LIAR": lambda p, b, n: Answer(body=page(rows(0, 30), resultsCount=40)),
    "CIRCLE": lambda p, b, n: Answer(body=page(rows(0, 3), next_url=b + "/v2/aggs/ticker/CIRCLE/?cursor=%d" % n)),
    "OUTSIDE": lambda p, b, n: Answer(body=page(rows(-5, 10))),
    "GONE": lambda p, b, n: Answer(404, {"status": "NOT_FOUND", "message": "Data not found."}),
    "HUGE": lambda p, b, n: Answer(body=page(rows(0, 20000))),
    "MOVED": lambda p, b, n: Answer(302, b"", [("Location", b + "/steal")]),
    "SLOW": lambda p, b, n: Answer(body=page(rows(0, 1)), delay=30),
    "BRIEF": lambda p, b, n: Answer(body=page(rows(0, 1)), delay=0.3),
}


def answer(path, base):
    parts = path.split("?")[0].split("/")
    if path.startswith("/v3/reference/tickers/"):
        return Answer(body={"status": "OK", "results": {"ticker": parts[4]}}) if parts[4] == "AAPL" else TICKERS["GONE"](0, 0, 0)
    if path.startswith("/v2/aggs/ticker/"):
        seen[parts[4]] = seen.get(parts[4], 0) + 1
        make = TICKERS.get(parts[4])
        made = make(path, base, seen[parts[4]]) if make else Answer(body=page(rows(0, 1)))
        made.body = made.body.replace(b'"ticker": "X"', b'"ticker": "%s"' % parts[4].encode())
        return made
    return Answer(404, b"404 page not found")


async def serve(reader, writer, scheme):
    global connections
    connections += 1
    me = connections
    base = "%s://127.0.0.1:%d" % (scheme, writer.get_extra_info("sockname")[1])
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = head.split(" ")[1]
            lower = head.lower()
            who = "key" if "authorization: bearer %s\r\n" % KEY.lower() in lower else "nokey"
            say("GET", path, who, "conn", me, "http", head.split("\r\n")[0].split("/")[-1])
            a = answer(path, base)
            await asyncio.sleep(a.delay)
            if a.drop:
                writer.transport.abort()
                return
            if "accept-encoding: gzip" in lower and a.body:
                a.body = gzip.compress(a.body)
                a.headers.append(("Content-Encoding", "gzip"))
            if a.cut:
                a.body = a.body[:len(a.body) // 2]
            out = ["HTTP/1.1 %d X" % a.status, "Content-Length: %d" % len(a.body)] + ["%s: %s" % h for h in a.headers]
            writer.write("\r\n".join(out).encode() + b"\r\n\r\n" + a.body)
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        writer.close()


async def main():
    what = sys.argv[1]
    kind = sys.argv[-1]
    context, ca = (None, None) if kind in ("plain", "proxy") else tls_context(kind)
    if what == "echo":
        server = await echo_server(context)
    elif what == "proxy":
        server = await proxy_server()
    else:
        scheme = "https" if context else "http"
        server = await asyncio.start_server(lambda r, w: serve(r, w, scheme), "127.0.0.1", 0, ssl=context)
    ready(port_of(server), ca)
    await server.serve_forever()


run(main)
