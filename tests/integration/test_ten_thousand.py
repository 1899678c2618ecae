#!/usr/bin/python3
"""10,000 symbols: subscribed, acknowledged one by one, a bar for each in one burst, every one published with its indicators."""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
from harness import DEADLINE, Place, check, main, session_start, until  # noqa: E402

SYMBOLS = ["SIM%04d" % (i + 1) for i in range(10000)]
ROUNDS = int(os.environ.get("ROUNDS", "25"))


def ten_thousand():
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 1, "--start", session_start("03:00"), "--symbols", 10000)
        d = place.daemon(sim, clusters=[{"name": "stocks", "symbols": SYMBOLS, "topics": ["bars_1m"]}], config={
            "engine": {"kind": "cpu", "threads": 2},
            "rest": {"warm": False, "recheck_minutes": 0}, "log": {"level": "notice"},
            "bus": {"symbols": 10000, "bars": [{"timespan": "1m", "rows": 300}], "trades": 0, "quotes": 0}})
        d.until_live(SYMBOLS[0], SYMBOLS[-1])
        until(lambda: sum(row["state"] == "live" for row in d.symbols().values()) == 10000, "all acknowledged")
        check(True, "10,000 symbols are live")
        check(", 2 threads): as configured" in d.status()["engine"], "the engine has two threads, and status says so")
        path = place.folder / "rows"
        with open(path, "w") as out:
            client = d.follow("subscribe", "*", "--json", "-n", 10000 * ROUNDS, stdout=out)
        t = 1700000040000
        for i in range(ROUNDS):
            sim.ask("burst", topic="AM", symbols=10000, events=10000, per_message=100, t=t + i * 60000)
            until(lambda: d.counters()["bars_appended"] == 10000 * (i + 1), "round %d" % i, deadline=10)
        seen = {}
        code = client.wait(timeout=DEADLINE)
        check(code == 0, "the subscriber ends with 0: " + client.stderr.read())
        with open(path) as lines:
            for line in lines:
                row = json.loads(line)
                seen.setdefault(row["symbol"], []).append(row)
        odd = {k: [(r["t"] - t) // 60000 for r in rows] for k, rows in seen.items() if len(rows) != ROUNDS}
        print("     %d symbols with other than %d rows: %s" % (len(odd), ROUNDS, list(odd.items())[:3]))
        check(len(seen) == 10000 and all(len(rows) == ROUNDS for rows in seen.values()), "%d rows of each reached it" % ROUNDS)
        check(all([r["t"] for r in rows] == [t + i * 60000 for i in range(ROUNDS)] for rows in seen.values()), "in order")
        check(all(rows[-1]["sma_20"] is not None and rows[0]["sma_20"] is None for rows in seen.values()), "with their indicators")
        c = d.counters()
        check(c["events_published"] == 10000 * ROUNDS == c["engine_rows"], "none refused, none computed twice")


free = os.statvfs("/dev/shm")
if free.f_bavail * free.f_frsize < 700 << 20:
    print("skip: /dev/shm has less than 700 MiB free")
    sys.exit(77)
main(ten_thousand)
