#!/usr/bin/python3
"""polyctl fetch: the table is the exchange's truth with the engine's indicators, whatever happens on the way; nothing is asked twice."""
import calendar
import contextlib
import csv
import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, os.path.dirname(__file__))
from harness import BUILD, KEY, Place, check, main, to_yaml, until  # noqa: E402

START = "2026-07-20T11:00"  # a Monday; what is asked for lies before
FIELDS = ["t", "o", "h", "l", "c", "v", "vw", "n"]


class Fetch:
    """An exchange, a configuration with a cache of its own, and polyctl fetch over TLS."""

    def __init__(self, place, *options, cache="cache", sim=None, **rest):
        self.place, self.looks = place, 0
        self.sim = sim or place.sim("--seed", 7, "--start", START, "--symbols", 20, *options)
        self.cache = place.folder / cache
        self.config = place.folder / ("fetch-%s.yaml" % cache)
        self.env = dict(os.environ, POLYGON_API_KEY=KEY)
        self.rest = {"url": "https://localhost:" + self.sim.ports["https"], **rest}
        self.write()

    def write(self, **sections):
        self.config.write_text(to_yaml({
            "rest": self.rest, "cache": {"directory": str(self.cache)},
            "stream": {"ca_file": str(self.place.folder / "ca.pem"), "backoff_min_ms": 20, "backoff_max_ms": 100}, **sections}))

    def argv(self, *words):
        return [BUILD / "polyctl", "fetch", "--config", self.config, *map(str, words)]

    def __call__(self, *words, code=0, env=None):
        r = subprocess.run(self.argv(*words), env=env or self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        check(r.returncode == code, "%s: exit %d %s" % (" ".join(map(str, words[:8])), code, r.stderr.strip().splitlines()[-1:]) if
              r.returncode == code else "exit %d, not %d: %s" % (r.returncode, code, r.stderr))
        return r

    def sent(self):
        """Requests that the exchange has seen, but for these."""
        self.looks += 1
        with urllib.request.urlopen(self.sim.http + "/sim/stats", timeout=30) as answer:
            return json.loads(answer.read())["requests"] - self.looks

    def asks(self, *words, **kw):
        """The run, and how many requests it says it made."""
        r = self(*words, **kw)
        return r, int(r.stderr.strip().splitlines()[-1].split(" requests")[0].split()[-1])


def ms(*date):
    return calendar.timegm(date + (0,) * (6 - len(date))) * 1000


def truth(sim, ticker, first, last, span="minute"):
    """Bars that begin in [first, last), by the exchange's own word."""
    rows, path, query = [], "/v2/aggs/ticker/%s/range/1/%s/%d/%d" % (ticker, span, first, last - 1), {"limit": 50000, "sort": "asc"}
    while path:
        page = sim.get(path, **query)
        rows += page.get("results", [])
        url, query = page.get("next_url"), {}
        path = None
        if url:
            rest = url.split("/", 3)[3]
            path, cursor = rest.split("?cursor=")
            path, query = "/" + path, {"cursor": cursor}
    return rows


def same_bars(table, symbol, bars):
    mine = [row for row in table if row["symbol"] == symbol]
    if len(mine) != len(bars):
        return "%s: %d rows of %d" % (symbol, len(mine), len(bars))
    for row, bar in zip(mine, bars):
        for name in FIELDS:
            want = bar.get(name)
            if (row[name] == "") != (want is None) or (want is not None and float(row[name]) != float(want)):
                return "%s: %s is not %s in %s" % (symbol, name, want, row)
    return ""


def computed(bars, *words):
    """What polyctl compute says of them: lines."""
    text = ",".join(FIELDS[:7]) + "\n" + "".join(
        ",".join("" if bar.get(n) is None else repr(bar[n]) for n in FIELDS[:7]) + "\n" for bar in bars)
    r = subprocess.run([BUILD / "polyctl", "compute", "-", *words], input=text, capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r.stderr
    return r.stdout.splitlines()


def files(folder):
    return sorted(p for p in folder.glob("**/*") if p.is_file() and not p.name.startswith("."))


def the_truth_with_indicators():
    with Place() as place:
        f = Fetch(place)
        first, last = ms(2026, 3, 2, 5), ms(2026, 7, 16, 4)  # New York's midnights, over a change of its clocks
        r, asked = f.asks("MSFT", "AAPL", "MSFT", "I:SPX", "--from", "2026-03-02", "--to", "2026-07-15")
        table = list(csv.DictReader(io.StringIO(r.stdout)))
        check(list(table[0])[:9] == ["symbol"] + FIELDS and "sma_20" in table[0], "symbol, fields, indicators")
        order = [row["symbol"] for row in table]
        check(order == sorted(order, key=["MSFT", "AAPL", "I:SPX"].index), "rows by symbol, in the order asked, each once")
        for symbol in "MSFT", "AAPL", "I:SPX":
            bars = truth(f.sim, symbol, first, last)
            fault = same_bars(table, symbol, bars)
            check(fault == "" and len(bars) > 30000, fault or "%s: %d rows, every field the exchange's" % (symbol, len(bars)))
            lines = [line.split(",", 9)[9] for line in r.stdout.splitlines()[1:] if line.startswith(symbol + ",")]
            check(lines == [line.split(",", 1)[1] for line in computed(bars)[1:]], "indicators are compute's, byte by byte")
        again, none = f.asks("MSFT", "AAPL", "I:SPX", "--from", "2026-03-02", "--to", "2026-07-15")
        check(none == 0 and again.stdout == r.stdout and asked >= 6, "again: the same bytes, and no request after %d" % asked)
        part, none = f.asks("AAPL", "--from", "2026-05-04T13:30", "--to", "2026-05-04T20:00", "--columns", "c,n,macd")
        rows = list(csv.DictReader(io.StringIO(part.stdout)))
        check(none == 0 and list(rows[0]) == ["symbol", "c", "n", "macd", "macd_signal", "macd_hist"] and 380 < len(rows) <= 390,
              "part of it, some columns: %d rows" % len(rows))
        lines = [json.loads(line) for line in f("AAPL", "--from", "2026-05-04T13:30", "--to", "2026-05-04T20:00", "--columns",
                                                "c,n,macd", "--json").stdout.splitlines()]
        want = [{k: v if k == "symbol" else None if v == "" else float(v) for k, v in row.items()} for row in rows]
        check(lines == want, "the same as JSON")


def timespans_and_clusters():
    with Place() as place:
        f = Fetch(place)
        for span, ticker, words, first, last in (
                ("day", "AAPL", ("2023-03-01", "2026-07-17"), ms(2023, 3, 1, 5), ms(2026, 7, 18, 4)),
                ("hour", "AAPL", ("2024-11-01", "2026-07-17"), ms(2024, 11, 1, 4), ms(2026, 7, 18, 4)),
                ("second", "AAPL", ("2026-07-14", "2026-07-15"), ms(2026, 7, 14, 4), ms(2026, 7, 16, 4)),
                ("minute", "X:BTCUSD", ("2026-06-20", "2026-07-02"), ms(2026, 6, 20), ms(2026, 7, 3))):
            words = ("AAPL" if ticker == "AAPL" else "X:BTC-USD", "--timespan", span, "--from", words[0], "--to", words[1],
                     "--columns", ",".join(FIELDS))
            r, asked = f.asks(*words)
            fault = same_bars(list(csv.DictReader(io.StringIO(r.stdout))), words[0], truth(f.sim, ticker, first, last, span))
            check(fault == "", fault or "%s bars of %s: the exchange's, %d requests" % (span, ticker, asked))
            again, none = f.asks(*words)
            check(again.stdout == r.stdout and none == 0, "%s: from the cache" % span)


def what_is_missing_is_asked_for():
    with Place() as place:
        f = Fetch(place)
        g = Fetch(place, cache="other", sim=f.sim)
        words = ("AAPL", "--from", "2026-01-05", "--to", "2026-07-17")
        want, fresh = g.asks(*words)
        f("AAPL", "--from", "2026-03-02", "--to", "2026-03-31")
        f("AAPL", "--from", "2026-05-11", "--to", "2026-05-15")
        got, asked = f.asks(*words)
        check(got.stdout == want.stdout, "cache and vendor make one table")
        check(asked <= fresh + 2, "%d requests, %d without a cache" % (asked, fresh))
        check(f.asks(*words)[1] == 0, "then it is all there")
        for path in files(f.cache)[:3]:
            data = bytearray(path.read_bytes())
            data[-20] ^= 1
            path.write_bytes(data)
        got = f(*words)
        check(got.stdout == want.stdout, "damaged files are fetched again")


def a_rewritten_past():
    with Place() as place:
        f = Fetch(place)
        f("AAPL", "MSFT", "--from", "2026-03-02", "--to", "2026-04-30")
        f("AAPL", "--from", "2026-06-01", "--to", "2026-06-05")
        f.sim.stop()
        f.sim = place.sim("--seed", 8, "--start", START, "--symbols", 20, "--tls-port", f.sim.ports["https"])
        r = f("AAPL", "MSFT", "--from", "2026-02-02", "--to", "2026-07-15", "--columns", ",".join(FIELDS))
        table = list(csv.DictReader(io.StringIO(r.stdout)))
        for symbol in "AAPL", "MSFT":
            fault = same_bars(table, symbol, truth(f.sim, symbol, ms(2026, 2, 2, 5), ms(2026, 7, 16, 4)))
            check(fault == "", fault or "%s: all of now's prices, none of the cache's" % symbol)


def interrupted_and_resumed():
    with Place() as place:
        f = Fetch(place)
        g = Fetch(place, cache="other", sim=f.sim)
        symbols = ["AAPL", "MSFT", "NVDA", "SPY", "QQQ"]
        words = (*symbols, "--from", "2026-01-05", "--to", "2026-07-15", "--columns", "t,c,sma_20")
        want, whole = g.asks(*words)
        f.sim.ask("scenario", "request 9-: delay 3000")
        p = subprocess.Popen(f.argv(*words), env=f.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        until(lambda: len(files(f.cache)) >= 9, "files in the cache")
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=60)
        check(p.returncode == 130, "exit 130: %r" % err)
        check("interrupted" in err and str(f.cache) in err, "and says where it goes on from")
        check(not [x for x in f.cache.glob("**/*") if "tmp" in x.name.lower()], "no half-written file is left")
        check(want.stdout.startswith(out[:out.rfind("\n") + 1]), "what was written is the table's beginning")
        f.sim.ask("scenario", name="none")
        got, asked = f.asks(*words)
        check(got.stdout == want.stdout, "the same command makes the table")
        check(asked < whole, "with %d requests instead of %d" % (asked, whole))


def interrupted_between_pages():
    with Place() as place:
        f = Fetch(place, requests_per_minute=1000)
        g = Fetch(place, cache="other", sim=f.sim, requests_per_minute=1000)
        words = ("AAPL", "--from", "2025-10-01", "--to", "2026-07-15", "--columns", "t,c")
        want, whole = g.asks(*words)
        f.sim.ask("scenario", "request 4-: delay 5000")
        before = f.sent()
        p = subprocess.Popen(f.argv(*words), env=f.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        until(lambda: f.sent() >= before + 4, "three pages, and the question for a fourth")
        p.send_signal(signal.SIGINT)
        check(p.wait(60) == 130 and files(f.cache), "interrupted between two pages: " + p.stderr.read())
        f.sim.ask("scenario", name="none")
        got, asked = f.asks(*words)
        check(got.stdout == want.stdout and asked <= whole - 2, "what had come is kept: %d requests instead of %d" % (asked, whole))


def trouble_on_the_way():
    with Place() as place:
        f = Fetch(place)
        g = Fetch(place, cache="other", sim=f.sim)
        words = ("AAPL", "MSFT", "NVDA", "--from", "2026-01-05", "--to", "2026-07-15")
        want = g(*words)
        f.sim.ask("scenario", "request 2: status 503 html\nrequest 3: truncate\nrequest 5: status 429 json retry-after=1\n"
                              "request 6: drop\nrequest 8: bad-chunk\nrequest 9: status 502 empty\n")
        got = f(*words)
        check(got.stdout == want.stdout, "503, a truncated page, 429, a dropped connection: the same table")
        check("429" in got.stderr, "429 is told: " + got.stderr.splitlines()[0])
        check(f.asks(*words)[1] == 0, "and all of it is kept")


def failures_are_named():
    with Place() as place:
        f = Fetch(place)
        words = ("--from", "2026-07-06", "--to", "2026-07-15", "--columns", "t,c")
        f.sim.ask("scenario", "request 1- /v2/aggs/ticker/MSFT: status 403 json\nrequest 1- /v2/aggs/ticker/NVDA: status 400 json")
        r = f("ZZZZ", "MSFT", "AAPL", "NVDA", "SPY", *words, code=1)
        table = list(csv.DictReader(io.StringIO(r.stdout)))
        check({row["symbol"] for row in table} == {"AAPL", "SPY"}, "the others are there")
        check("ZZZZ: unknown" in r.stderr and "MSFT: HTTP 403" in r.stderr and "NVDA: HTTP 400" in r.stderr, "each is named: " + r.stderr)
        f.sim.ask("scenario", name="none")
        r = f("ZZZZ", "AAPL", *words, code=4)
        check("ZZZZ: unknown" in r.stderr and len(r.stdout.splitlines()) > 1000, "an unknown symbol is exit 4")
        r = f("AAPL", "MSFT", "NVDA", "--from", "2026-06-01", *words[2:], env=dict(f.env, POLYGON_API_KEY="wrong"), code=77)
        check(r.stderr.count("401") == 1, "a wrong key ends it, said once: " + r.stderr)
        env = {k: v for k, v in f.env.items() if k != "POLYGON_API_KEY"}
        check(f("AAPL", *words, env=env).stdout, "without a key the cache serves")
        r = f("AAPL", "--from", "2026-06-01", *words[2:], env=env, code=78)
        check("POLYGON_API_KEY" in r.stderr, "and what it has not needs one: " + r.stderr)
        f.sim.stop()
        r = f("AAPL", "MSFT", "NVDA", "SPY", "QQQ", "AMD", "--from", "2026-05-01", *words[2:], code=1)
        check(len(r.stderr.splitlines()) <= 4, "a network that is gone is not said for each symbol: " + r.stderr)


def mistakes():
    with Place() as place:
        f = Fetch(place)
        day = ("--from", "2026-07-14", "--to", "2026-07-15")
        for words, why in (((), "which symbols"), (("AAPL",), "since when"), (("AAPL", "--from", "2026-02-30"), "2026-02-30: no time"),
                           (("AAPL", "--from", "soon"), "soon: no time"), (("AAPL", "--from", "2026-07-14", "--to", "2026-07-13"), "before --from"),
                           (("AAPL", "--from", "2090-01-01"), "nothing is over"), (("A,B", *day), "not a possible symbol"), (("*", *day), "not a possible symbol"),
                           (("AAPL", *day, "--timespan", "week"), "no such timespan"), (("AAPL", *day, "--columns", "t,foo"), "foo"),
                           (("AAPL", *day, "--columns", "t,t"), "t: given twice"), (("AAPL", *day, "--columns", ","), "columns: none given"),
                           (("AAPL", *day, "--columns", "t,symbol"), "always the first"), (("AAPL", *day, "--indicators", "sma_0"), "sma_0"),
                           (("AAPL", *day, "--columns", "sma_9", "--indicators", "sma_8"), "sma_9: a column"),
                           (("AAPL", *day, "--engine", "abacus"), "no such engine"), (("AAPL", *day, "--cluster", "moon"), "no such cluster"),
                           (("AAPL", *day, "--colums", "t"), "no such option here")):
            r = f(*words, code=2)
            check(why in r.stderr and r.stdout == "", "%s" % why)


def progress():
    with Place() as place:
        f = Fetch(place)
        f.sim.ask("scenario", "request 1-: delay 300")
        words = ("AAPL", "MSFT", "--from", "2026-05-04", "--to", "2026-07-15")
        for more, lines in ((("--quiet",), 0), ((), 1)):
            main_end, end = pty.openpty()
            p = subprocess.Popen(f.argv(*words, *more), env=f.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=end)
            os.close(end)
            text = b""
            with contextlib.suppress(OSError):
                while data := os.read(main_end, 4096):
                    text += data
            os.close(main_end)
            check(p.wait(60) == 0, "done")
            check((b"/2 symbols" in text and b"ETA" in text and b"requests" in text) == bool(lines), "terminal%s: %r" % (more, text[:100]))
            check(text.count(b"polygond: fetch:") == lines, "%d last lines" % lines)
            f.cache = place.folder / "third"
            f.write()
        r = f(*words)
        check(len(r.stderr.splitlines()) == 1 and "\r" not in r.stderr, "no terminal: a last line and no more: " + r.stderr)
        p = subprocess.Popen(f.argv(*words), env=f.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        p.stdout.read(10)
        p.stdout.close()
        _, err = p.communicate(timeout=60)
        check(p.returncode == 1 and b"standard output: Broken pipe" in err, "a reader that goes ends it: %r" % err)


def many_symbols_a_free_key():
    with Place() as place:
        f = Fetch(place, "--plan", "starter")
        symbols = ["SIM%04d" % i for i in range(1, 21)]
        r, asked = f.asks(*symbols, "--from", "2026-07-13", "--to", "2026-07-15", "--columns", "t,c,v")
        table = list(csv.DictReader(io.StringIO(r.stdout)))
        check([s for i, s in enumerate(row["symbol"] for row in table) if i == 0 or s != table[i - 1]["symbol"]] == symbols and asked == 20,
              "%d symbols in order, a request each" % asked)
        g = Fetch(place, "--plan", "free", cache="free", requests_per_minute=5)
        r, asked = g.asks("AAPL", "--from", "2026-01-05", "--to", "2026-06-30", "--columns", "t,c")
        check(asked <= 3, "where requests are scarce, half a year is %d" % asked)
        check(len(r.stdout.splitlines()) > 100000, "%d rows" % len(r.stdout.splitlines()))


def imports_serve():
    with Place() as place:
        f = Fetch(place)
        words = ("--from", "2026-05-26", "--to", "2026-06-18", "--columns", "t,o,h,l,c,v,n")
        want = Fetch(place, cache="other", sim=f.sim)("AAPL", *words)
        bars = truth(f.sim, "AAPL", ms(2026, 5, 26, 4), ms(2026, 6, 19, 4))

        def put(factor, day):
            path = place.folder / "minute_aggs.csv"
            with open(path, "w") as file:
                file.write("ticker,volume,open,close,high,low,window_start,transactions\n")
                for b in bars:
                    x = factor if b["t"] < ms(2026, 6, day, 4) else 1
                    file.write("AAPL,%r,%r,%r,%r,%r,%d,%d\n" % (b["v"], x * b["o"], x * b["c"], x * b["h"], x * b["l"], b["t"] * 10**6, b["n"]))
            r = subprocess.run([BUILD / "polyctl", "import", "--config", f.config, path], capture_output=True, text=True)
            check(r.returncode == 0, r.stdout.strip())

        put(1, 1)
        r, asked = f.asks("AAPL", *words)
        check(asked == 0 and r.stdout == want.stdout, "flat files serve, nothing is asked for")
        for day in 10, 15, 1:  # a split in the midst of a week, after one, and between two months
            for path in files(f.cache):
                path.unlink()
            put(2, day)
            r, asked = f.asks("AAPL", *words)
            check(asked >= 1 and r.stdout == want.stdout, "not with a split among them: %d requests" % asked)


def a_reader_who_takes_his_time():
    with Place() as place:
        f = Fetch(place, connections=2)
        symbols = ["SIM%04d" % i for i in range(1, 21)]
        words = (*symbols, "--from", "2026-01-05", "--to", "2026-07-15", "--columns", "t,o,h,l,c")
        p = subprocess.Popen(f.argv(*words), env=f.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        count = lambda: len([x for x in files(f.cache)])
        until(lambda: count() >= 8, "files in the cache")
        last, same = -1, 0
        while same < 8:
            same, last = (same + 1, last) if count() == last else (0, count())
            time.sleep(0.1)
        check(last < 20 * 7, "nobody reads: %d files, and no more are fetched" % last)
        out, err = p.communicate(timeout=60)
        check(p.returncode == 0 and len(files(f.cache)) > last, "somebody does: " + err.strip())
        check(out == f(*words).stdout, "the same table")


def whole_days_of_the_market():
    with Place() as place:
        f = Fetch(place)
        g = Fetch(place, cache="other", sim=f.sim)
        symbols = ["SIM%04d" % i for i in range(1, 21)] + ["AAPL", "MSFT", "KIMpL"]
        span = ("--timespan", "day", "--columns", ",".join(FIELDS))
        rows = lambda table: table.split("\n", 1)[1]
        want = "".join(rows(g(s, "--from", "2026-06-15", "--to", "2026-07-16", *span).stdout) for s in symbols)
        r, asked = f.asks(*symbols, "--from", "2026-06-15", "--to", "2026-07-10", *span)
        check(asked == 20, "26 days with a weekend or three and a holiday: %d requests for 23 symbols" % asked)
        r, asked = f.asks(*symbols, "--from", "2026-06-15", "--to", "2026-07-16", *span)
        check(rows(r.stdout) == want, "the rows are those of a request a symbol, starts as well")
        check(asked == 5, "four days more, and the last known one to compare with: %d requests" % asked)
        r, asked = f.asks(*symbols, "--from", "2026-06-15", "--to", "2026-07-16", *span)
        check(asked == 0 and rows(r.stdout) == want, "then none")
        r, asked = f.asks(*symbols, "NVDA", "ZZZZ", "X:BTCUSD", "--from", "2026-06-15", "--to", "2026-07-16", *span, code=4)
        check(asked == 4 and rows(r.stdout).startswith(want), "some more: %d requests, one of them after ZZZZ" % asked)
        july = ("--from", "2026-07-01", "--to", "2026-07-16", *span)
        want = f(*symbols, *july).stdout
        f.sim.ask("scenario", "request 1- /v2/aggs/grouped: status 403 json")
        r, asked = Fetch(place, cache="third", sim=f.sim).asks(*symbols, *july)
        check(r.stdout == want and 23 < asked <= 35, "a plan without: a request a symbol, %d in all" % asked)
        f.sim.stop()
        f.sim = place.sim("--seed", 8, "--start", START, "--symbols", 20, "--tls-port", f.sim.ports["https"])
        new = Fetch(place, cache="fourth", sim=f.sim)(*symbols, "--from", "2026-07-01", "--to", "2026-07-17", *span)
        r = f(*symbols, "--from", "2026-07-01", "--to", "2026-07-17", *span)
        check(r.stdout == new.stdout and rows(r.stdout)[:2000] != rows(want)[:2000], "a rewritten past is found by the day it meets")


def on_a_gpu_that_dies():
    with Place() as place:
        f = Fetch(place)
        words = ("AAPL", "MSFT", "--from", "2026-07-01", "--to", "2026-07-05")
        want = f(*words).stdout
        env = dict(f.env, LD_LIBRARY_PATH=str(BUILD / "tests" / "fake"), XDG_CACHE_HOME=str(place.folder), FAKE_CUDA_FAULTS="kernel@2=700")
        r = f(*words, "--engine", "cuda", env=env)
        check(r.stdout == want and r.stderr.count("cuda failed and was left: Fake GPU 0") == 1, "the table is the same, and it is said")


if __name__ == "__main__":
    main(the_truth_with_indicators, timespans_and_clusters, what_is_missing_is_asked_for, a_rewritten_past, interrupted_and_resumed, interrupted_between_pages,
         trouble_on_the_way, failures_are_named, mistakes, progress, many_symbols_a_free_key,
         imports_serve, a_reader_who_takes_his_time, whole_days_of_the_market, on_a_gpu_that_dies)
