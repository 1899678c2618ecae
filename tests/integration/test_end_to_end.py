#!/usr/bin/python3
"""The main job: bars with indicators from the exchange through the daemon and shared memory to a read-only client."""
import json
import math
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(__file__))
from harness import BUILD, KEY, Place, check, main, session_start, until  # noqa: E402

START = session_start()
FIELDS = ["o", "h", "l", "c", "v", "vw", "n"]
COLUMNS = ["sma_20", "ema_12", "rsi_14", "macd", "macd_signal", "macd_hist", "bb_upper", "bb_middle", "bb_lower", "atr_14",
           "stoch_k", "stoch_d", "obv", "vwap", "vwap_ext"]


def strict(line):
    """JSON as a consumer reads it: NaN and Infinity are errors."""
    def refuse(word):
        raise AssertionError("not JSON: " + word)
    return json.loads(line, parse_constant=refuse)


def sim_bars(sim, symbol, upto, count):
    page = sim.get("/v2/aggs/ticker/%s/range/1/minute/%d/%d" % (symbol, upto - 86400000 * 5, upto), sort="desc", limit=count)
    return list(reversed(page["results"][:count]))


def live_bars_with_indicators():
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 60, "--start", START)
        d = place.daemon(sim).until_live("AAPL", "MSFT")
        r = d.ctl("subscribe", "AAPL", "MSFT", "--json", "-n", 8, "--timeout", 60)
        check(r.returncode == 0, "subscribe ends with 0 after 8 rows: " + r.stderr)
        rows = [strict(line) for line in r.stdout.splitlines()]
        check(len(rows) == 8, "8 rows came")
        for row in rows:
            missing = [k for k in ["symbol", "timespan", "t"] + FIELDS + COLUMNS if k not in row]
            check(not missing, "row has every key (missing: %s)" % missing)
            check(row["timespan"] == "1m" and row["t"] % 60000 == 0, "a minute's start in ms")
            check(all(row[k] is not None for k in ("o", "h", "l", "c", "v", "vw", "sma_20", "rsi_14", "macd_signal", "vwap")),
                  "warm from the first row on")
        row = rows[-1]
        truth = sim_bars(sim, row["symbol"], row["t"], 30)
        check(truth[-1]["t"] == row["t"], "the exchange knows the last row's minute")
        check(all(truth[-1][k] == row[k] for k in ("o", "h", "l", "c", "v", "vw")), "its fields are the exchange's, digit by digit")
        closes = [b["c"] for b in truth[-20:]]
        check(abs(row["sma_20"] - math.fsum(closes) / 20) <= 1e-12 * row["sma_20"], "sma_20 is the mean of 20 closes")
        check(abs(row["bb_upper"] + row["bb_lower"] - 2 * row["bb_middle"]) < 1e-9, "bands lie around their middle")
        check(0 <= row["rsi_14"] <= 100, "rsi within 0 and 100")
        pairs = [(x["symbol"], x["t"]) for x in rows]
        check(len(set(pairs)) == len(pairs), "no row twice")


def trades_quotes_seconds_and_csv():
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 20, "--start", START)
        topics = ["trades", "quotes", "bars_1s", "bars_1m"]
        d = place.daemon(sim, clusters=[{"name": "stocks", "symbols": ["AAPL"], "topics": topics}]).until_live("AAPL")
        for kind, fields in (("--trades", ("price", "size", "exchange")), ("--quotes", ("bid", "ask"))):
            r = d.ctl("subscribe", "AAPL", kind, "--json", "-n", 5, "--timeout", 60)
            check(r.returncode == 0, kind + " arrive: " + r.stderr)
            for line in r.stdout.splitlines():
                row = strict(line)
                check(row["symbol"] == "AAPL" and row["type"] in kind and all(f in row for f in fields), kind + " row: " + line)
        r = d.ctl("subscribe", "AAPL", "--bars", "1s", "--csv", "-n", 3, "--timeout", 60)
        lines = r.stdout.splitlines()
        check(r.returncode == 0 and len(lines) == 4 and lines[0].startswith("symbol,"), "csv has a header and 3 rows")
        check(all(len(line.split(",")) == len(lines[0].split(",")) for line in lines), "as many cells as names")
        r = d.ctl("get", "AAPL", "-n", 2, "--json")
        check(r.returncode == 0 and len(r.stdout.splitlines()) >= 2, "get shows rows")


def symbols_on_demand():
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 60, "--start", START)
        d = place.daemon(sim).until_live("AAPL")
        r = d.ctl("subscribe", "SPY", "--json", "-n", 2, "--timeout", 60)
        check(r.returncode == 0 and len(r.stdout.splitlines()) == 2, "a symbol not held yet is requested and arrives: " + r.stderr)
        r = d.ctl("subscribe", "NOSUCH", "-n", 1, "--timeout", 60)
        check(r.returncode == 4, "an unknown ticker ends with 4, not %d" % r.returncode)
        check(r.stderr.startswith("polyctl: ") and "NOSUCH" in r.stderr and r.stderr.count("\n") == 1, "one line says why: " + r.stderr)
        rows = d.symbols()
        check("SPY" in rows and "NOSUCH" not in rows, "list shows what is held")
        d.kill()
        d.start().until_live("AAPL", "SPY")
        check(True, "a symbol asked for by a client is held again after kill -9")


def six_clusters():
    clusters = [{"name": "stocks", "symbols": ["AAPL"]}, {"name": "crypto", "symbols": ["X:BTC-USD"]},
                {"name": "forex", "symbols": ["C:EUR-USD"]}, {"name": "indices", "symbols": ["I:SPX"]},
                {"name": "options", "symbols": ["O:SPY261218C00650000"]}, {"name": "futures", "symbols": ["ESM6"]}]
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 60, "--start", START)
        d = place.daemon(sim, clusters=clusters)
        d.until_live("AAPL", "X:BTC-USD", "C:EUR-USD", "I:SPX")
        for symbol in ("X:BTC-USD", "C:EUR-USD", "I:SPX"):
            r = d.ctl("subscribe", symbol, "--json", "-n", 1, "--timeout", 60)
            check(r.returncode == 0, "%s: a bar: %s" % (symbol, r.stderr))
            row = strict(r.stdout.splitlines()[0])
            check(row["c"] > 0 and (row["v"] is None) == (symbol == "I:SPX"), "%s: close, and volume where there is one" % symbol)


def rest_only():
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 60, "--start", START)
        d = place.daemon(sim, config={"stream": {"enabled": False}, "rest": {"poll_s": 1}}).until_live("AAPL")
        r = d.ctl("subscribe", "AAPL", "--json", "-n", 3, "--timeout", 60)
        check(r.returncode == 0, "bars arrive without any stream: " + r.stderr)


def the_key_stays_inside():
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 60, "--start", START)
        d = place.daemon(sim, config={"log": {"level": "debug"}}).until_live("AAPL")
        d.ctl("status")
        pid = d.process.pid
        places = {"log": d.logged().encode(), "argv": open("/proc/%d/cmdline" % pid, "rb").read(),
                  "environ": open("/proc/%d/environ" % pid, "rb").read()}
        for name in ("board", "bars.1m", "bars.1s", "trades", "quotes"):
            places[name] = open("/dev/shm/polygond.%s.%s" % (d.instance, name), "rb").read()
        for name, text in places.items():
            check(KEY.encode() not in text, "the key is not in " + name)
        limits = open("/proc/%d/limits" % pid).read()
        core = [line for line in limits.splitlines() if line.startswith("Max core file size")][0]
        check(core.split()[4] == "0", "no core dumps")
        r = subprocess.run([BUILD / "polygond", "--print-config", "--config", d.config], capture_output=True, text=True,
                           env=dict(os.environ, POLYGON_API_KEY=KEY))
        check(r.returncode == 0 and KEY not in r.stdout, "--print-config does not print it")


def reload():
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 60, "--start", START)
        d = place.daemon(sim).until_live("AAPL", "MSFT")
        for symbols in (["AAPL", "SPY", "NVDA"], ["MSFT", "AAPL"]):
            text = d.config.read_text().splitlines()
            text = [line if not line.startswith("clusters:") else "clusters: " + json.dumps([{"name": "stocks", "symbols": symbols}])
                    for line in text]
            d.config.write_text("\n".join(text) + "\n")
            d.process.send_signal(signal.SIGHUP)
            d.until_live(*symbols)
            held = [s for s, row in d.symbols().items() if row["state"] == "live"]
            check(sorted(held) == sorted(symbols), "SIGHUP: held are %s" % symbols)
        d.config.write_text("instance: [\n")
        d.process.send_signal(signal.SIGHUP)
        until(lambda: "not reloaded" in d.logged(), "a broken file is refused")
        check(d.process.poll() is None, "and the daemon goes on")
        r = d.ctl("subscribe", "AAPL", "--json", "-n", 2, "--timeout", 60)
        check(r.returncode == 0, "rows go on: " + r.stderr)


def clean_stop():
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 60, "--start", START)
        d = place.daemon(sim).until_live("AAPL")
        check(d.stop() == 0, "SIGTERM ends it with 0")
        check(d.ctl("status").returncode in (0, 3), "status still answers from the board")
        check(d.ctl("subscribe", "AAPL", "--once", "-n", 1).returncode == 3, "subscribe --once without a daemon ends with 3")
        d.start().until_live("AAPL")
        check("adopted" in d.logged(), "the next run adopts the rows")
        second = place.daemon(sim, config={"instance": d.instance})
        second_instance, second.instance = second.instance, d.instance
        check(second.until_exit() == 75, "a second daemon of the same instance ends with 75")
        check("another polygond" in second.logged(), "and says why")
        second.instance = second_instance
        until(lambda: d.process.poll() is None, "the first goes on")


main(live_bars_with_indicators, trades_quotes_seconds_and_csv, symbols_on_demand, six_clusters, rest_only, the_key_stays_inside,
     reload, clean_stop)
