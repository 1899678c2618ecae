#!/usr/bin/python3
"""REST-only mode with more than a few symbols: one snapshot instead of a request a symbol, and no minute is missed."""
import csv
import io
import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
from harness import Place, check, main, session_start, until  # noqa: E402

SYMBOLS = ["AAPL", "MSFT", "NVDA", "SPY", "QQQ", "KIMpL"] + ["SIM%04d" % i for i in range(1, 13)]
START = session_start()


def daemon(place, sim, symbols=SYMBOLS, seconds=False, **rest):
    bars = [{"timespan": "1m", "rows": 1000}] + ([{"timespan": "1s", "rows": 1000}] if seconds else [])
    return place.daemon(sim, clusters=[{"name": "stocks", "symbols": symbols}],
                        config={"stream": {"enabled": False}, "rest": {"poll_s": 1, **rest},
                                "bus": {"symbols": 64, "bars": bars, "trades": 0, "quotes": 0}}).until_live(*symbols)


def rows(d, symbol, span="1m"):
    r = d.ctl("get", symbol, "-n", 1000, "--csv", "--bars", span)
    return {int(row["t"]): row for row in csv.DictReader(io.StringIO(r.stdout))} if r.returncode == 0 else {}


def same_as_truth(sim, d, symbol, span="1m"):
    """Between the first and the last row held no row is missing, and each is the exchange's."""
    mine = rows(d, symbol, span)
    first, last = min(mine), max(mine)
    page = sim.get("/v2/aggs/ticker/%s/range/1/%s/%d/%d" % (symbol, {"1m": "minute", "1s": "second"}[span], first, last), limit=50000)
    truth = {b["t"]: b for b in page["results"]}
    if sorted(truth) != sorted(mine):
        return "%s: missing %s, not there %s" % (symbol, sorted(set(truth) - set(mine))[:5], sorted(set(mine) - set(truth))[:5])
    for t, b in truth.items():
        if any(float(mine[t][k]) != float(b[k]) for k in ("o", "h", "l", "c", "v", "n")):
            return "%s: %s is not %s" % (symbol, mine[t], b)
    return ""


def newest(d, symbol="AAPL"):
    return max(rows(d, symbol), default=0)



def watched(d, minutes):
    """So many minutes of AAPL later: requests made meanwhile, rows of all symbols that came."""
    until(lambda: newest(d), "history")
    began, at, had = d.counters(), newest(d), {s: newest(d, s) for s in SYMBOLS}
    until(lambda: newest(d) >= at + minutes * 60000, "%d minutes" % minutes)
    requests = d.counters()["rest_requests"] - began["rest_requests"]
    return requests, sum(sum(t > had[s] for t in rows(d, s)) for s in SYMBOLS)


def a_snapshot_for_all():
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 24, "--start", START, "--symbols", 20)
        d = daemon(place, sim)
        requests, bars = watched(d, 4)
        check(requests < bars, "%d requests brought %d bars" % (requests, bars))
        for symbol in SYMBOLS:
            fault = same_as_truth(sim, d, symbol)
            check(fault == "", fault or symbol)
        c = d.counters()
        account = sum(c[k] for k in ("rest_published", "rest_duplicates", "rest_refused", "rest_unwanted", "rest_too_old") if k in c)
        check(c["rest_rows"] >= account > 0, "the account of rows: %d, %d" % (c["rest_rows"], account))


def minutes_in_between():
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 240, "--start", START, "--symbols", 20)  # four minutes between two questions
        d = daemon(place, sim)
        watched(d, 20)
        for symbol in SYMBOLS:
            fault = same_as_truth(sim, d, symbol)
            check(fault == "", fault or symbol)


def seconds_too():
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 30, "--start", START, "--symbols", 20)
        d = daemon(place, sim, seconds=True)
        watched(d, 3)
        for symbol in ("AAPL", "SIM0003"):
            for span in ("1m", "1s"):
                fault = same_as_truth(sim, d, symbol, span)
                check(fault == "", fault or "%s %s" % (symbol, span))


def a_plan_without():
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 24, "--start", START, "--symbols", 20)
        sim.ask("scenario", "request 1- /v2/snapshot: status 403 json")
        d = daemon(place, sim)
        requests, bars = watched(d, 3)
        check(requests >= bars, "%d requests brought %d bars" % (requests, bars))
        for symbol in SYMBOLS:
            fault = same_as_truth(sim, d, symbol)
            check(fault == "", fault or symbol)
        check(d.logged().count("REST answered 403") == 1, "said once, asked once")


def trouble():
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 24, "--start", START, "--symbols", 20)
        d = daemon(place, sim)
        sim.ask("scenario", "request 1/3 /v2/snapshot: status 503 html\nrequest 2/5 /v2/snapshot: truncate\n"
                            "request 3/7: drop\nrequest 5/11 /v2/snapshot: no-results\n")
        watched(d, 4)
        sim.ask("scenario", name="none")
        watched(d, 2)
        for symbol in SYMBOLS:
            fault = same_as_truth(sim, d, symbol)
            check(fault == "", fault or symbol)


if __name__ == "__main__":
    main(a_snapshot_for_all, minutes_in_between, seconds_too, a_plan_without, trouble)
