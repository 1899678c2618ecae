#!/usr/bin/python3
"""The connection is cut after every number of bytes the server sends: in the answer to the upgrade, in the greeting, in
acknowledgements, in the middle of an event. After all of it what is published equals the exchange's own truth, every hole is closed
and the account balances. Without ALL=1 a sample of the offsets, drawn from SEED."""
import os
import random
import sys

sys.path.insert(0, os.path.dirname(__file__))
from gaps_oracle import CONFIG, TOPICS, check_account, check_all, until_closed  # noqa: E402
from harness import Place, check, main, session_start, until  # noqa: E402

LAST = 4096      # the answer, greeting, acknowledgements of eight pairs and the first data lie within
SAMPLE = 90
SYMBOLS = ["AAPL", "MSFT"]


def offsets():
    if os.environ.get("ALL"):
        return list(range(1, LAST + 1))
    seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
    print("SEED=%d" % seed, flush=True)
    pick = random.Random(seed)
    return sorted(pick.sample(range(1, LAST + 1), SAMPLE))


def cut_at_every_offset():
    cuts = offsets()
    with Place() as place:
        sim = place.sim("--seed", 5, "--speed", 20, "--start", session_start("10:00"))
        config = dict(CONFIG, stream=dict(CONFIG["stream"], backoff_min_ms=10, backoff_max_ms=10, cooldown_s=1), log={"level": "error"},
                      bus=dict(CONFIG["bus"], trades=65536, quotes=262144, bars=[{"timespan": "1m", "rows": 2000}, {"timespan": "1s", "rows": 40000}]))
        clusters = [{"name": "stocks", "symbols": SYMBOLS, "topics": TOPICS}]
        d = place.daemon(sim, clusters=clusters, config=config).until_live(*SYMBOLS)
        until(lambda: d.counters()["events_published"] > 50, "data flows")
        for i in range(0, len(cuts), 512):
            part = cuts[i:i + 512]
            sim.ask("scenario", "".join("upgrade x1: cut %d\n" % n for n in part))
            sim.ask("drop")
            until(lambda: sim.get("/sim/stats")["rules_left"] == 0, "%d connections are cut" % len(part), deadline=600)
        d.until_live(*SYMBOLS)
        sim.ask("scenario", name="none")
        have = d.counters()["events_published"]
        until(lambda: d.counters()["events_published"] > have + 50, "data flows again")
        until_closed(d, "after %d cuts" % len(cuts))
        filled = check_all(sim, d, SYMBOLS, "after %d cuts" % len(cuts))
        check(all(filled.values()), "most of it was filled: %s" % filled)
        check_account(d, "after %d cuts" % len(cuts))


main(cut_at_every_offset)
