#!/usr/bin/python3
"""polysim's REST side against curl: pages, gzip, TLS, refusals, and every way an answer can go wrong."""
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(__file__))
from harness import KEY, Place, check, main  # noqa: E402

if not shutil.which("curl"):
    print("skip: curl is not installed")
    sys.exit(77)

START = "2026-03-18T11:00"
DAY = "/v2/aggs/ticker/AAPL/range/1/minute/2026-03-17/2026-03-17"


class Answer:
    def __init__(self, process):
        self.rc = process.returncode
        self.status, self.size, self.connections = "0", 0, 0
        head, _, rest = process.stdout.partition(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 1") and rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
        self.body, _, trailer = rest.rpartition(b"\n@@")
        if trailer:
            self.status, size, connections = trailer.decode().split()
            self.size, self.connections = int(size), int(connections)
        self.headers = {}
        for line in head.decode().split("\r\n")[1:]:
            name, _, value = line.partition(": ")
            self.headers[name.lower()] = value

    def json(self):
        return json.loads(self.body)


def curl(sim, path, *args, key=KEY, tls=True, timeout=30):
    url = path if path.startswith("http") else (
        "https://localhost:%s%s" % (sim.ports["https"], path) if tls else "http://127.0.0.1:%s%s" % (sim.ports["http"], path))
    command = ["curl", "-s", "-i", "--globoff", "--http1.1", "--max-time", str(timeout), "--cacert", str(sim.folder / "ca.pem"),
               "-w", "\n@@%{http_code} %{size_download} %{num_connects}"]
    if key:
        command += ["-H", "Authorization: Bearer " + key]
    return Answer(subprocess.run(command + list(args) + [url], capture_output=True, timeout=timeout + 30))


def pages(sim, path):
    rows, urls = [], []
    while path:
        page = curl(sim, path).json()
        assert page["status"] == "OK", page
        rows += page.get("results", [])
        path = page.get("next_url")
        if path:
            assert KEY not in path and path.startswith("https://localhost:"), path
            assert path not in urls, "next_url repeats"
            urls.append(path)
    return rows, len(urls) + 1


def pagination():
    with Place() as place:
        sim = place.sim("--start", START)
        whole = curl(sim, DAY + "?limit=50000").json()
        check(whole["queryCount"] == whole["resultsCount"] == whole["count"] == len(whole["results"]) > 700, "a day of minutes")
        check("next_url" not in whole, "fits one page")
        rows, count = pages(sim, DAY + "?limit=100")
        check(rows == whole["results"] and count == (len(rows) + 99) // 100, "%d pages of 100 make the same" % count)
        rows, _ = pages(sim, DAY + "?limit=100&sort=desc")
        check(rows == whole["results"][::-1], "backwards as well")
        hours = curl(sim, DAY.replace("minute", "hour") + "?limit=50000").json()
        check(hours["queryCount"] == len(whole["results"]) and hours["resultsCount"] == 16, "limit counts minutes under hours")
        rows, _ = pages(sim, DAY.replace("minute", "hour") + "?limit=100")
        check(rows == hours["results"], "hours by pages of 100 minutes")
        rows, _ = pages(sim, DAY.replace("minute", "hour") + "?limit=100&sort=desc")
        check(rows == hours["results"][::-1], "and backwards")
        for span in ("5/minute", "2/hour", "1/day", "3/day", "1/week", "1/month", "1/quarter", "1/year"):
            path = "/v2/aggs/ticker/SIM0001/range/%s/2025-11-01/2026-03-17" % span
            one = curl(sim, path + "?limit=50000").json()
            many, _ = pages(sim, path + "?limit=400" if "minute" in span or "hour" in span else path + "?limit=95")
            check(many == one["results"], span + ": pages agree")
            check(all(a["t"] < b["t"] for a, b in zip(many, many[1:])), span + ": ascending")
        seconds = curl(sim, DAY.replace("/minute/2026-03-17/2026-03-17", "/second/%d/%d" % (
            whole["results"][400]["t"], whole["results"][400]["t"] + 59999))).json()["results"]
        bar = whole["results"][400]
        check(abs(sum(b["v"] for b in seconds) - bar["v"]) < 1e-5 and seconds[-1]["c"] == bar["c"], "seconds make up the minute")
        tickers, _ = pages(sim, "/v3/reference/tickers?market=stocks&limit=17")
        check(len(tickers) == len({t["ticker"] for t in tickers}) == 140, "all tickers by pages of 17")
        trades, _ = pages(sim, "/v3/trades/AAPL?order=asc&limit=100&timestamp.gte=%d&timestamp.lt=%d" % (
            bar["t"] * 10**6, (bar["t"] + 60000) * 10**6))
        check(len(trades) == bar["n"] and all(a["sip_timestamp"] < b["sip_timestamp"] for a, b in zip(trades, trades[1:])),
              "the minute's trades by pages, ns ascending")
        check(abs(sum(float(t["decimal_size"]) for t in trades) - bar["v"]) < 1e-5, "and their volume")


def transport():
    with Place() as place:
        sim = place.sim("--start", START)
        plain = curl(sim, DAY, tls=False)
        packed = curl(sim, DAY, "--compressed")
        check(packed.headers.get("content-encoding") == "gzip" and packed.json()["results"] == plain.json()["results"], "gzip")
        check(packed.size < plain.size / 2.5, "gzip is smaller: %d for %d" % (packed.size, plain.size))
        check(plain.headers["transfer-encoding"] == "chunked", "chunked")
        check(plain.headers["x-request-id"] == plain.json()["request_id"] and len(plain.json()["request_id"]) == 32, "X-Request-Id")
        base = "https://localhost:%s" % sim.ports["https"]
        reused = curl(sim, base + "/v2/aggs/ticker/AAPL/prev", base + "/v2/aggs/ticker/MSFT/prev")
        check(b"AAPL" in reused.body and b"MSFT" in reused.body and reused.connections == 0, "the connection is kept")
        check(curl(sim, DAY, "-I").status == "200", "HEAD")
        check(curl(sim, DAY, "-X", "DELETE").status == "405", "DELETE is not allowed")
        check(curl(sim, DAY, "--http1.0").rc == 0, "HTTP/1.0")
        exponents = [w for w in plain.body.decode().replace("}", ",").split(",") if w.startswith('{"v":') and "e+" in w]
        check(all(float(w[5:]) >= 1e6 for w in exponents), "exponents from a million on (%d)" % len(exponents))


def refusals():
    with Place() as place:
        sim = place.sim("--start", START)
        for path, key, status, text in (
                (DAY, None, "401", "API Key was not provided"), (DAY, "wrong", "401", "Unknown API Key"),
                ("/v3/reference/tickers/NOSUCH", KEY, "404", "NOT_FOUND"), ("/v3/reference/tickers/aapl", KEY, "404", "NOT_FOUND"),
                ("/nowhere", KEY, "404", "404 page not found"), ("/v1/open-close/AAPL/2026-03-15", KEY, "404", "Data not found."),
                (DAY.replace("2026-03-17/", "17.3./"), KEY, "400", "Could not parse the time parameter: 'from'"),
                (DAY.replace("/2026-03-17/", "/2026-03-19/"), KEY, "400", "cannot be a time that occurs before 'from'"),
                (DAY + "?limit=50001", KEY, "400", "limit"), (DAY.replace("minute", "fortnight"), KEY, "400", "timespan")):
            answer = curl(sim, path, key=key)
            check(answer.status == status and text in answer.body.decode(), "%s %s" % (status, text))
        check(curl(sim, DAY + "?apiKey=" + KEY, key=None).status == "200", "the key may be a parameter")
        check(curl(sim, "/v3/reference/tickers/KIMpL").json()["results"]["ticker"] == "KIMpL", "lower case in a ticker")
        nothing = curl(sim, "/v2/aggs/ticker/NOSUCH/range/1/minute/2026-03-17/2026-03-17").json()
        check(nothing["resultsCount"] == 0 and "results" not in nothing, "an unknown ticker has no results key")
        weekend = curl(sim, DAY.replace("03-17", "03-15")).json()
        check(weekend["resultsCount"] == 0 and "results" not in weekend, "nor has a Sunday")
        free = place.sim("--start", START, "--plan", "free")
        check(curl(free, "/v2/snapshot/locale/us/markets/stocks/tickers").status == "403", "no snapshots on the free plan")
        check(curl(free, DAY.replace("03-17", "03-18")).status == "403", "nor today's bars")
        check(curl(free, DAY).json()["status"] == "DELAYED", "yesterday's are DELAYED")
        check([curl(free, DAY).status for _ in range(3)] == ["200", "200", "429"], "five requests a minute")
        starter = place.sim("--start", START, "--plan", "starter")
        check(curl(starter, "/v3/trades/AAPL").status == "403", "no trades on the starter plan")
        day = curl(starter, "/v2/aggs/ticker/AAPL/range/1/day/2026-03-17/2026-03-17")
        check(day.json()["status"] == "DELAYED" and b"e+" not in day.body, "DELAYED bodies have plain numbers")


def other_routes():
    with Place() as place:
        sim = place.sim("--start", START)
        snapshot = curl(sim, "/v2/snapshot/locale/us/markets/stocks/tickers/AAPL").json()["ticker"]
        check(snapshot["prevDay"]["c"] == curl(sim, "/v2/aggs/ticker/AAPL/prev").json()["results"][0]["c"], "snapshot and prev")
        check(snapshot["lastTrade"]["t"] > 10**18 and snapshot["lastQuote"]["P"] > snapshot["lastQuote"]["p"], "last trade, quote")
        some = curl(sim, "/v2/snapshot/locale/us/markets/stocks/tickers?tickers=AAPL,NOSUCH,MSFT").json()
        check([t["ticker"] for t in some["tickers"]] == ["AAPL", "MSFT"], "snapshots leave out what they do not know")
        grouped = curl(sim, "/v2/aggs/grouped/locale/us/market/stocks/2026-03-17").json()
        day = curl(sim, "/v2/aggs/ticker/AAPL/range/1/day/2026-03-17/2026-03-17").json()["results"][0]
        row = next(r for r in grouped["results"] if r["T"] == "AAPL")
        check(all(row[k] == day[k] for k in "vohlcn") and row["t"] > day["t"], "grouped daily agrees; its t is the end")
        check(curl(sim, "/v1/marketstatus/now").json()["serverTime"].startswith("2026-03-18T11:0"), "New York time")
        check(isinstance(curl(sim, "/v1/marketstatus/upcoming").json(), list), "upcoming is a bare array")
        check(curl(sim, "/v2/last/nbbo/SPY").json()["results"]["P"] > 0, "last quote")
        check(curl(sim, "/v2/last/trade/X:BTCUSD").json()["results"]["p"] > 0, "last crypto trade")
        check(curl(sim, "/v3/reference/exchanges").json()["count"] > 5, "exchanges")
        check(curl(sim, "/v3/reference/conditions").json()["results"][0]["update_rules"], "conditions")
        btc = curl(sim, "/v2/aggs/ticker/X:BTCUSD/range/1/day/2026-03-15/2026-03-16").json()["results"]
        check([b["t"] % 86400000 for b in btc] == [0, 0], "crypto days begin at midnight UTC, weekends too")
        split = "/v2/aggs/ticker/NVDA/range/1/day/2024-06-07/2024-06-10"
        adjusted, raw = curl(sim, split).json()["results"], curl(sim, split + "?adjusted=false").json()["results"]
        check(abs(raw[0]["c"] / adjusted[0]["c"] - 10) < 1e-9 and raw[1]["c"] == adjusted[1]["c"], "a 10:1 split")


def misfortunes():
    with Place() as place:
        sim = place.sim("--start", START)

        def under(name, *args, **kw):
            sim.ask("scenario", name=name)
            return curl(sim, DAY, *args, **kw)

        check(under("429").json()["error"].startswith("You've exceeded"), "429 with a body")
        empty = under("429-empty")
        check(empty.status == "429" and empty.body == b"", "429 without")
        check(under("429-retry-after").headers["retry-after"] == "1", "429 with Retry-After")
        check(curl(sim, DAY).status == "429" and curl(sim, DAY).status == "200", "twice, then well again")
        check(b"<html>" in under("502-html").body, "an HTML 502")
        check(under("503-empty").status == "503", "an empty 503")
        check(under("truncated", "--compressed").rc in (18, 23, 56, 61), "a truncated gzip stream")
        check(under("truncated").rc in (18, 56), "a truncated body")
        check(under("bad-chunk").rc == 56, "a bad chunk size")
        check(under("rest-cut").rc in (18, 56), "a connection cut in the body")
        check(under("rest-hang", timeout=2).rc == 28, "no answer")
        check(under("rest-redirect").status == "302", "a redirect")
        check(under("json-number").body == b"42" and under("json-string").json() == "Internal error", "bodies that are no object")
        check(under("no-results").json()["resultsCount"] == 0, "no results")
        check(under("drip").json()["resultsCount"] > 700, "a slow drip arrives whole")
        slow = under("rest-slow", "-w", "\n@@%{http_code} %{size_download} 0")
        check(slow.status == "200", "a slow answer")
        check("results" not in under("rest-forbidden").json() and curl(sim, "/v3/reference/tickers/AAPL").status == "200",
              "403 for one path only")
        bad = under("bad-json").body
        try:
            json.loads(bad)
            raise AssertionError("parses")
        except ValueError:
            check(True, "JSON that ends early")
        sim.ask("scenario", name="none")
        check(curl(sim, DAY).status == "200", "and none again")
        script = "request 2-3 /v2/aggs: status 504 teapot\nrequest x1 /v3: status 400 json"
        check(sim.ask("scenario", body=script)["rules"] == 2, "a script in the body")
        check([curl(sim, DAY).status for _ in range(4)] == ["200", "504", "504", "200"], "requests 2 and 3")


def spoiled_pages():
    with Place() as place:
        sim = place.sim("--start", START)
        good = curl(sim, DAY + "?limit=50").json()

        def under(action, path=DAY + "?limit=50", *args):
            sim.ask("scenario", "request x1 /v: %s" % action)
            return curl(sim, path, *args)

        rows = good["results"]
        check(under("count 3").json()["resultsCount"] == len(rows) + 3, "a count that is too high")
        check(under("next self").json()["next_url"].endswith(DAY + "?limit=50"), "next_url is the page itself")
        again = [under("next again").json()["next_url"] for _ in range(2)]
        check(again[0] != again[1] and all(DAY + "?limit=50&new=" in url for url in again), "under ever new addresses")
        check(under("next http://localhost:1/x").json()["next_url"] == "http://localhost:1/x", "or elsewhere")
        check(under("next http://localhost:1/x", DAY + "?limit=50000").json()["next_url"] == "http://localhost:1/x", "where there was none")
        check(under("twice").json()["results"] == [r for row in rows for r in (row, row)], "every row twice")
        check(under("turned").json()["results"] == rows[::-1], "in the opposite order")
        stale = under("stale").json()["results"]
        check(stale[1::2] == rows and all(a["t"] == b["t"] and a["c"] != b["c"] for a, b in zip(stale[::2], rows)), "stale first")
        small = under("shrink 7").json()
        check(small["results"] == rows[:7] and small["next_url"], "fewer rows than asked for")
        check(under("corrupt").body != curl(sim, DAY + "?limit=50").body, "another byte")
        check(under("corrupt", DAY, "--compressed").rc in (23, 61), "in the gzip stream")
        check("content-encoding" not in under("identity", DAY, "--compressed").headers, "not compressed although asked for")
        check(under("flood 1000000", DAY, "--compressed").size < 2000, "a gzip bomb")
        check(under("flood 1000000 identity", DAY, "--compressed").size > 1000000, "a plain one")
        ticks = "/v3/trades/AAPL?order=asc&limit=20&timestamp.gte=%d" % (good["results"][400 % len(rows)]["t"] * 10**6)
        trades = curl(sim, ticks).json()["results"]
        check(under("turned", ticks).json()["results"] == trades[::-1] and len(trades) == 20, "trades in the opposite order")


main(pagination, transport, refusals, other_routes, misfortunes, spoiled_pages)
