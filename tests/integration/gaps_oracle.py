"""What the tests of holes share: the stand-in's own truth, what the daemon published, and its account."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../clients/python"))
sys.path.insert(0, os.path.dirname(__file__))
import polygond  # noqa: E402
from harness import check, session_start, until  # noqa: E402

ENDS = ["published", "duplicate", "malformed", "refused", "unwanted", "too_old", "counted", "unknown", "waiting"]
REST_ENDS = ["published", "duplicate", "bad_rows", "too_old", "unwanted"]
SYMBOLS = ["AAPL", "MSFT"]
TOPICS = ["trades", "quotes", "bars_1s", "bars_1m"]
CONFIG = {
    "stream": {"backoff_min_ms": 20, "backoff_max_ms": 100, "connect_timeout_s": 2, "auth_timeout_s": 2, "ack_timeout_s": 2,
               "ping_interval_s": 1, "pong_timeout_s": 2, "idle_timeout_s": 3},
    "rest": {"fill_after_ms": 100, "fill_ticks_s": 86400, "recheck_minutes": 0, "warm": False},
    "bus": {"symbols": 4, "bars": [{"timespan": "1m", "rows": 2000}, {"timespan": "1s", "rows": 8000}],
            "trades": 65536, "quotes": 131072},
}


def balance(counters):
    """The two sides of the account, of streams and of REST."""
    return (counters["events_received"], sum(counters["events_" + e] for e in ENDS),
            counters["rest_rows"], sum(counters["rest_" + e] for e in REST_ENDS))


def check_account(d, what):
    until(lambda: (lambda b: b[0] == b[1] and b[2] == b[3])(balance(d.counters())), what + ": the account balances", deadline=20)
    b = balance(d.counters())
    check(b[0] > 0, "%s: received = published + duplicates + refused, exactly: %d events, %d REST rows" % (what, b[0], b[2]))


def gaps(d, *args):
    r = d.ctl("gaps", "--json", *args)
    import json
    return [json.loads(line) for line in r.stdout.splitlines()] if r.returncode == 0 else None


def until_closed(d, what):
    """Every hole is closed, none is left open or given up."""
    def closed():
        rows = gaps(d)
        return rows is not None and all(g["state"] == "closed" for g in rows)
    try:
        until(closed, what + ": every hole is closed", deadline=float(os.environ.get("PATIENCE", 45)))
    except AssertionError:
        print([g for g in gaps(d) if g["state"] != "closed"])
        raise


def tape(d, name):
    """All records of a tape, as dicts."""
    bus = polygond.attach(d.instance)
    stream = bus.trades() if name == "trades" else bus.quotes()
    reader, out = stream.reader(oldest=True), []
    while True:
        data = reader.get()
        if data is None:
            break
        if isinstance(data, polygond.Lost):
            raise AssertionError("the tape is too small for this test")
        out.append(stream.event(data))
    bus.close()
    return out


def pages(sim, path, **query):
    page = sim.get(path, limit=50000, **query)
    rows = page.get("results") or []
    while page.get("next_url"):
        url = page["next_url"].split("?", 1)
        path = "/" + url[0].split("/", 3)[3]
        page = sim.get(path, **dict(pair.split("=", 1) for pair in url[1].split("&")))
        rows += page.get("results") or []
    return rows


def trade_keys(rows):
    return [(r["exchange"], min(r.get("trf_id", 0), 255), int(r["id"]), r["sip_timestamp"] // 10**6) for r in rows]


def quote_keys(rows):
    return [(r["sequence_number"], r["sip_timestamp"] // 10**6, r["bid_price"], r["ask_price"], r["bid_size"], r["ask_size"]) for r in rows]


def check_ticks(sim, d, symbol, name, what):
    """Of the stretch that was covered, every record of the exchange once, and nothing else."""
    mine = [r for r in tape(d, name) if r["symbol"] == symbol]
    if name == "trades":
        keys = [(r["exchange"], r["trf"] or 0, r["id"], r["t"] // 10**6) for r in mine]
    else:
        keys = [(r["seq"], r["t"] // 10**6, r["bid"], r["ask"], r["bid_size"], r["ask_size"]) for r in mine]
    times = [r["t"] // 10**6 for r in mine]
    first, last = min(times), max(t for t, r in zip(times, mine) if not r["flags"] & 0x10)
    rows = pages(sim, "/v3/%s/%s" % (name, symbol), order="asc", **{"timestamp.gte": first * 10**6,
                                                                    "timestamp.lte": (max(times) + 1) * 10**6})
    truth = trade_keys(rows) if name == "trades" else quote_keys(rows)
    have, want = {}, {}
    for k in keys:
        have[k] = have.get(k, 0) + 1
    for k in truth:
        want[k] = want.get(k, 0) + 1
    at = 3 if name == "trades" else 1
    # the newest second may still be on its way
    missing = [k for k in want if have.get(k, 0) < want[k] and k[at] < last - 1000]
    foreign = [k for k in have if have[k] > want.get(k, 0)]
    filled = sum(1 for r in mine if r["flags"] & 0x10)
    check(not missing and not foreign, "%s: %s of %s are the exchange's, each once: %d, of these %d filled (missing %s, foreign %s)" % (
        what, name, symbol, len(mine), filled, sorted(missing, key=lambda k: k[at])[:3], foreign[:3]))
    return filled


def check_bars(sim, d, symbol, timespan, what):
    import json
    rows = [json.loads(line) for line in d.ctl("get", symbol, "-n", 100000, "--bars", timespan, "--json").stdout.splitlines()]
    rows = {r["t"]: r for r in rows if r.get("timespan") == timespan and not r.get("forming")}
    span = "minute" if timespan == "1m" else "second"
    truth = {b["t"]: b for b in pages(sim, "/v2/aggs/ticker/%s/range/1/%s/%d/%d" % (symbol, span, min(rows), max(rows)))}
    fields = ("o", "h", "l", "c", "v", "vw")
    wrong = [t for t, r in rows.items() if t not in truth or any(truth[t][k] != r[k] for k in fields)]
    last = max(rows) - (3000 if timespan == "1s" else 0)
    missing = [t for t in truth if t not in rows and t <= last]
    check(not wrong and not missing and sorted(rows) == list(rows), "%s: %s %s: %d rows, each the exchange's, none missing, in order (%s, %s)" % (
        what, symbol, timespan, len(rows), wrong[:3], missing[:3]))
    return sum(1 for r in rows.values() if r.get("filled"))


def check_all(sim, d, symbols, what):
    """Returns how many records and rows were filled in, by kind."""
    filled = {}
    for symbol in symbols:
        for name in ("trades", "quotes"):
            filled[name] = filled.get(name, 0) + check_ticks(sim, d, symbol, name, what)
        for timespan in ("1s", "1m"):
            filled[timespan] = filled.get(timespan, 0) + check_bars(sim, d, symbol, timespan, what)
    return filled


CLUSTERS = [{"name": "stocks", "symbols": SYMBOLS, "topics": TOPICS}]


def begin(place, speed=20, config=None, seed=5):
    sim = place.sim("--seed", seed, "--speed", speed, "--start", session_start("10:00"))
    merged = {k: dict(CONFIG.get(k, {}), **(config or {}).get(k, {})) for k in set(CONFIG) | set(config or {})}
    return sim, place.daemon(sim, clusters=CLUSTERS, config=merged).until_live(*SYMBOLS)


def flows(d):
    have = d.counters()["events_published"]
    until(lambda: d.counters()["events_published"] > have + 50, "data flows")
