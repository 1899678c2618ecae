#!/usr/bin/python3
"""Twelve hours of a market in half a minute, with random faults: connections dropped, reset, silent, evicted, in pieces; events
malformed, duplicated, out of order; REST that fails, throttles and breaks off; kill -9. Then every record of the exchange is there
once, no hole is left, and the account balances. SEED repeats the faults, HOURS and SPEED change the day."""
import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from gaps_oracle import CONFIG, SYMBOLS, TOPICS, check_account, check_all, gaps, until_closed  # noqa: E402
from harness import Place, check, main, session_start, until  # noqa: E402

SEED = int(os.environ.get("SEED", random.randrange(1 << 32)))
SPEED = int(os.environ.get("SPEED", 3000))
HOURS = float(os.environ.get("HOURS", 12))

STREAM = ["message 3 x1: drop", "message 2 x1: reset", "message 2 x1: cut 77", "message 1/2: duplicate", "message 1/3: shuffle",
          "message 2/4: late", "message 1/3: malformed", "message: numbers", "message: mixed", "connected: split-random 700",
          "connected: fragment 137", "upgrade x2: status 502 html", "auth x1: mute", "message 2 x1: silence", "after 1 x1: evict",
          "upgrade x1: hang"]
REST = ["request /v x3: status 503 html", "request /v x2: status 429 json retry-after=1", "request /v x2: truncate",
        "request /v x2: cut 700", "request /v x1: hang", "request /v 1/2: delay 30", "request /v x1: body {}}"]


def a_day_with_faults():
    print("SEED=%d" % SEED, flush=True)
    rng = random.Random(SEED)
    with Place() as place:
        sim = place.sim("--seed", rng.randrange(1000), "--speed", SPEED, "--start", session_start("06:00"))
        config = dict(CONFIG, rest=dict(CONFIG["rest"], timeout_s=2, requests_per_minute=0), log={"level": "error"},
                      stream=dict(CONFIG["stream"], idle_timeout_s=2, pong_timeout_s=1, connect_timeout_s=1, auth_timeout_s=1,
                                  ack_timeout_s=1, cooldown_s=1),
                      bus={"symbols": 4, "bars": [{"timespan": "1m", "rows": 2000}, {"timespan": "1s", "rows": 60000}],
                           "trades": 524288, "quotes": 1048576})
        clusters = [{"name": "stocks", "symbols": SYMBOLS, "topics": TOPICS}]
        d = place.daemon(sim, clusters=clusters, config=config).until_live(*SYMBOLS)
        begun, faults, killed = sim.get("/sim/stats")["now"], {}, 0
        while sim.get("/sim/stats")["now"] < begun + HOURS * 3600000:
            rules = rng.sample(STREAM, rng.randrange(0, 3)) + rng.sample(REST, rng.randrange(0, 2))
            for rule in rules:
                faults[rule] = faults.get(rule, 0) + 1
            sim.ask("scenario", "\n".join(rules) + "\n")
            if rng.random() < 0.4:
                sim.ask("drop")
            time.sleep(rng.uniform(0.1, 0.9))
            if rng.random() < 0.08:
                killed += 1
                d.kill()
                time.sleep(rng.uniform(0, 0.2))
                d.start()
        sim.ask("scenario", name="none")
        print("     %d kinds of faults, %d in all, %d times kill -9" % (len(faults), sum(faults.values()), killed), flush=True)
        d.until_live(*SYMBOLS)
        have = d.counters()["events_published"]
        until(lambda: d.counters()["events_published"] > have + 50, "data flows again")
        until_closed(d, "after the day")
        filled = check_all(sim, d, SYMBOLS, "after the day")
        check(all(filled.values()), "filled: %s" % filled)
        check_account(d, "after the day")
        check(len(gaps(d)) > 20, "%d holes were known, every one is closed" % len(gaps(d)))


free = os.statvfs("/dev/shm")
if free.f_bavail * free.f_frsize < 250 << 20:
    print("skip: /dev/shm has less than 250 MiB free")
    sys.exit(77)
main(a_day_with_faults)
