#!/usr/bin/python3
"""A start takes from the cache what REST said before, and asks for no more than what is new."""
import calendar
import gzip
import json
import os
import random
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, os.path.dirname(__file__))
from harness import BUILD, Place, check, main, until  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
SATURDAY = calendar.timegm((2026, 7, 18, 16, 0, 0))  # noon in New York: nothing trades
MONDAY = calendar.timegm((2026, 7, 20, 15, 0, 0))    # 11:00 in New York


class Market:
    """An exchange and a daemon that agree on the time, which is not the machine's."""

    def __init__(self, place, now, symbols=("AAPL", "MSFT"), speed=1, **config):
        self.place, self.now = place, now
        self.so = place.folder / "clock_shift.so"
        if not self.so.exists():
            subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-o", self.so, HERE + "/clock_shift.c"],
                           check=True)
        self.sim = place.sim("--seed", 7, "--speed", speed, "--start", now * 1000)
        self.folder = place.folder / "cache"
        cache = {"enabled": True, "directory": str(self.folder), **config}
        self.symbols = symbols
        self.daemon = place.daemon(self.sim, env=self.clock(now), config={"cache": cache}, tls=False,
                                   clusters=[{"name": "stocks", "symbols": list(symbols)}])
        self.wait()

    def clock(self, now):
        return {"LD_PRELOAD": str(self.so), "CLOCK_SHIFT": str(int(now - time.time()))}

    def wait(self):
        """Live, and every series has its history."""
        self.daemon.until_live(*self.symbols)
        until(lambda: self.answered() == 2 * len(self.symbols), "every series has its history")
        self.rows()

    def answered(self):
        c = self.daemon.counters()
        return c.get("cache_whole", 0) + c.get("rest_requests", 0)

    def rows(self):
        def settled():
            a = self.dump()
            time.sleep(0.1)
            return a if all(a) and a == self.dump() else None
        return until(settled, "rows settle")

    def dump(self):
        return [self.daemon.ctl("get", s, "-n", 900, "--csv", "--bars", span).stdout for s in self.symbols[:2] for span in ("1m", "1s")]

    def requests(self):
        with urllib.request.urlopen(self.sim.http + "/sim/stats", timeout=30) as answer:
            return json.loads(answer.read())["requests"]

    def kept(self, files):
        until(lambda: self.daemon.counters().get("cache_files", 0) >= files, "%d files are written" % files)

    def restart(self, reboot=True, now=None):
        """`reboot`: shared memory is gone as well."""
        self.daemon.stop()
        if reboot:
            self.daemon.remove()
        if now:
            self.daemon.env = self.clock(now)
        self.daemon.start()
        self.wait()
        return self.daemon.counters()


def files_of(market, pattern="v1/*/*/*/*/*"):
    return sorted(market.folder.glob(pattern))


def warm_restart_without_a_request():
    with Place() as place:
        m = Market(place, SATURDAY)
        m.kept(4)
        before = m.rows()
        check(all(len(text.splitlines()) > 500 for text in before), "history came over REST")
        sent = m.requests()
        counters = m.restart()
        check(counters["rest_requests"] == 0 and counters["cache_whole"] == 4, "the second start sent nothing")
        check(m.requests() == sent + 2, "and the exchange saw none but the new WebSocket")
        check(m.rows() == before, "same rows, same indicators, digit by digit")
        counters = m.restart(reboot=False)
        check(counters["rest_requests"] == 0, "nor does one that adopts shared memory")
        check(m.rows() == before, "and the rows are still the same")


def only_what_is_new():
    with Place() as place:
        m = Market(place, MONDAY)
        m.kept(4)
        first = m.rows()
        sent = m.daemon.counters()["rest_bytes"]
        counters = m.restart()
        check(counters["cache_hits"] == 4 and counters["rest_requests"] == 4, "Monday is not over: asked again")
        check(counters["rest_bytes"] < sent, "but for less: %d of %d bytes" % (counters["rest_bytes"], sent))
        columns = [line.split(",")[:9] for line in first[0].splitlines()]
        again = {tuple(line.split(",")[:9]) for line in m.rows()[0].splitlines()}
        check(all(tuple(c) in again for c in columns[-500:]), "and no row differs")


def damage_is_found_and_mended():
    with Place() as place:
        m = Market(place, SATURDAY)
        m.kept(4)
        before = m.rows()
        rng = random.Random(5)
        hurt = [f for f in files_of(m) if f.stat().st_size > 2048]
        for i, path in enumerate(hurt):
            data = bytearray(path.read_bytes())
            if i % 2:
                del data[rng.randrange(len(data)):]
            else:
                data[-rng.randrange(1, 30000)] ^= 1
            path.write_bytes(data)
        counters = m.restart()
        until(lambda: m.daemon.counters()["cache_damaged"] == len(hurt) == 4, "%d files hurt, as many found" % len(hurt))
        check("set aside" in m.daemon.logged() and len(files_of(m, "v1/damaged/*")) == 4, "set aside, and said so")
        check(counters["rest_requests"] == 4, "all was fetched again")
        check(m.rows() == before, "and is what it was")
        m.kept(4)
        check(m.restart()["rest_requests"] == 0, "and is in the cache again")


def room_is_bounded():
    with Place() as place:
        symbols = ["AAPL", "MSFT"] + ["SIM%04d" % i for i in range(1, 12)]
        m = Market(place, SATURDAY, symbols, max_mb=1)
        m.kept(2 * len(symbols))
        total = lambda: sum((f.stat().st_size + 4095) // 4096 * 4096 for f in files_of(m, "**/*") if f.is_file())
        until(lambda: total() <= 1 << 20, "at most a megabyte is left")
        check(m.daemon.counters()["cache_evicted"] > 0, "files went: %d" % m.daemon.counters()["cache_evicted"])
        check(m.restart()["cache_hits"] > 0, "what was left serves")


def import_then_start():
    with Place() as place:
        m = Market(place, SATURDAY, ("AAPL",), enabled=False)
        page = m.sim.get("/v2/aggs/ticker/AAPL/range/1/minute/%d/%d" % ((SATURDAY - 12 * 86400) * 1000, SATURDAY * 1000), limit=50000)
        path = place.folder / "minute_aggs.csv.gz"
        with gzip.open(path, "wt") as f:
            f.write("ticker,volume,open,close,high,low,window_start,transactions\n")
            for b in page["results"]:
                f.write("AAPL,%r,%r,%r,%r,%r,%d,%d\n" % (b["v"], b["o"], b["c"], b["h"], b["l"], b["t"] * 10**6, b["n"]))
            f.write("AAPL,oops\n")
        m.daemon.stop()
        m.daemon.remove()
        m.daemon.config.write_text(m.daemon.config.read_text().replace('"enabled": false', '"enabled": true'))
        r = subprocess.run([BUILD / "polyctl", "import", "--config", m.daemon.config, path], capture_output=True, text=True)
        rows = len(page["results"])
        check(r.returncode == 0 and "imported 1 file: %d rows" % rows in r.stdout, "the file goes in: " + r.stdout + r.stderr)
        check("line %d: not as many fields" % (rows + 2) in r.stderr, "but for its last line")
        r = subprocess.run([BUILD / "polyctl", "import", "--strict", "--config", m.daemon.config, path], capture_output=True, text=True)
        check(r.returncode == 6, "--strict ends with 6")
        m.daemon.start()
        m.daemon.until_live("AAPL")
        until(lambda: m.daemon.counters().get("cache_hits") == 1, "the minutes come from the cache")
        c = m.daemon.counters()
        check(c["rest_requests"] == 1, "REST is asked for the seconds alone: %d" % c["rest_requests"])
        got = m.daemon.ctl("get", "AAPL", "-n", 900, "--csv").stdout.splitlines()[1:]
        want = {b["t"]: b for b in page["results"]}
        check(len(got) == 900 and all(float(line.split(",")[6]) == want[int(line.split(",")[2])]["c"] for line in got),
              "and are the exchange's")


def prefetch_learns():
    with Place() as place:
        tuesday = calendar.timegm((2026, 7, 14, 13, 35, 0))  # 09:35 in New York
        m = Market(place, tuesday, ("AAPL",))
        ask = lambda: m.daemon.ctl("subscribe", "SPY", "-n", 1, "--timeout", 20)
        check(ask().returncode == 0, "a client asks for SPY at 09:35")
        until(lambda: m.daemon.counters()["prefetch_misses"] == 1, "nobody had guessed")
        check(m.daemon.status()["cache"]["prefetch_misses"] == 1, "status says so")
        m.daemon.stop()
        m.daemon.remove()
        check((m.folder / ("prefetch." + m.daemon.instance)).exists(), "it is remembered on disk")
        m.daemon.env = m.clock(tuesday + 86400 - 40 * 60)  # Wednesday, 08:55
        m.daemon.start()
        m.daemon.until_live("AAPL")
        time.sleep(1.5)
        check(m.daemon.counters()["prefetch_warmed"] == 0, "at 08:55 nothing is expected yet")
        m.daemon.stop()
        m.daemon.remove()
        m.daemon.env = m.clock(tuesday + 86400 - 33 * 60)  # 09:02
        m.daemon.start()
        m.daemon.until_live("AAPL")
        until(lambda: m.daemon.counters()["prefetch_warmed"] == 2, "at 09:02 SPY is fetched for half past nine")
        before = m.daemon.counters()
        check("SPY" not in m.daemon.symbols(), "but not held")
        check(ask().returncode == 0, "the client comes")
        until(lambda: m.daemon.counters()["prefetch_hits"] == 1, "and it was guessed")
        c = m.daemon.counters()
        check(c["prefetch_misses"] == 0 and c["cache_hits"] >= before["cache_hits"] + 2, "its rows were in the cache")
        check(m.daemon.status()["cache"]["prefetch_hits"] == 1, "status says so")
        check("prefetch 1 symbols guessed, 0 not" in m.daemon.ctl("status").stdout, "and its text")


def prefetch_keeps_within_its_budget():
    """Of four symbols that were asked for two, and no faster than the rate that all requests share."""
    with Place() as place:
        tuesday = calendar.timegm((2026, 7, 14, 13, 35, 0))
        m = Market(place, tuesday, ("AAPL",))
        config = m.daemon.config.read_text()
        four = ("MSFT", "SPY", "NVDA", "TSLA")
        for symbol in four:
            r = m.daemon.ctl("subscribe", symbol, "-n", 1, "--timeout", 20)
            check(r.returncode == 0, "a client asks for " + symbol)
        m.kept(2)
        m.daemon.stop()
        m.daemon.remove()
        wednesday = tuesday + 86400 - 33 * 60
        m.daemon.config.write_text(config.replace("rest: {", 'rest: {"requests_per_minute": 5, ') + "prefetch: {symbols: 2}\n")
        m.daemon.env = m.clock(wednesday)
        m.daemon.start()
        m.daemon.until_live("AAPL")
        until(lambda: m.daemon.counters()["prefetch_warmed"] >= 2, "before the open some are fetched")
        c = m.daemon.counters()
        check(c["rest_requests"] <= 5, "within the rate: %d requests" % c["rest_requests"])
        m.daemon.stop()
        m.daemon.remove()
        m.daemon.config.write_text(config + "prefetch: {symbols: 2}\n")
        m.daemon.start()
        m.daemon.until_live("AAPL")
        until(lambda: m.daemon.counters()["prefetch_warmed"] == 4, "without that rate the two are there")
        time.sleep(1)
        check(m.daemon.counters()["prefetch_warmed"] == 4, "and no more than two: prefetch.symbols")
        for symbol in four:
            check(m.daemon.ctl("subscribe", symbol, "-n", 1, "--timeout", 20).returncode == 0, "the client comes for " + symbol)
        until(lambda: sum(m.daemon.counters()["prefetch_" + x] for x in ("hits", "misses")) == 4, "each is a hit or a miss")
        check(m.daemon.counters()["prefetch_hits"] == 2, "two of them were guessed")


def foreign_files():
    """Files that are sound but another symbol's, links and texts are set aside like damaged ones."""
    with Place() as place:
        m = Market(place, SATURDAY)
        m.kept(4)
        before = m.rows()
        files = {(f.parts[-3], f.name): f for f in files_of(m) if f.stat().st_size > 2048 and "damaged" not in f.parts}
        check(len(files) == 4, "four files: %s" % sorted(files))
        a, b = files["1m", "AAPL.bars"], files["1m", "MSFT.bars"]
        bytes_a, bytes_b = a.read_bytes(), b.read_bytes()
        a.write_bytes(bytes_b)
        b.write_bytes(bytes_a)
        text, link = files["1s", "AAPL.bars"], files["1s", "MSFT.bars"]
        text.write_text("nothing of the kind\n" * 500)
        target = place.folder / "elsewhere"
        link.rename(target)
        link.symlink_to(target)
        was = target.read_bytes()
        counters = m.restart()
        until(lambda: m.daemon.counters()["cache_damaged"] == 4, "each is found")
        check(counters["rest_requests"] == 4 and m.rows() == before, "all is fetched again and is what it was")
        check(target.read_bytes() == was, "what a link points to is left alone")
        check(len(files_of(m, "v1/damaged/*")) >= 3, "set aside")
        m.kept(4)
        check(m.restart()["rest_requests"] == 0, "and in the cache again")


def a_cache_that_cannot_be_had():
    with Place() as place:
        m = Market.__new__(Market)
        m.place, m.symbols = place, ("AAPL",)
        sim = place.sim("--seed", 7)
        (place.folder / "file").write_text("")
        d = place.daemon(sim, config={"cache": {"enabled": True, "directory": str(place.folder / "file/x")}}, tls=False)
        d.until_live("AAPL")
        check("cache: none: " in d.logged(), "it is said")


if __name__ == "__main__":
    main(warm_restart_without_a_request, only_what_is_new, damage_is_found_and_mended, room_is_bounded, import_then_start,
         prefetch_learns, prefetch_keeps_within_its_budget, foreign_files, a_cache_that_cannot_be_had)
