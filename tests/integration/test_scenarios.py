#!/usr/bin/python3
"""Every unpleasantness the stand-in knows of on a stream, one after the other under one daemon: it comes back each time, what it
publishes equals the exchange's own truth, and the account of events balances."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from harness import Place, check, main, session_start, until  # noqa: E402

# What the daemon must live through without a person's help. Those that stop it for good (auth-failed, auth-invalid, auth-plan)
# are in test_faults.py.
SCENARIOS = """drop drop-once drop-in-frame reset half-open split-bytes split-random coalesce fragment mixed malformed unknown-event
duplicates backwards out-of-order numbers spaces reorder revise evict auth-silent sub-silent spread-acks huge large not-utf8
binary ping-flood masked reserved-bit bad-opcode long-ping lone-fragment close-1001 close-1011 bad-accept no-accept
upgrade-redirect upgrade-502 upgrade-429 upgrade-hang""".split()

ENDS = ["published", "duplicate", "malformed", "refused", "unwanted", "too_old", "counted", "unknown"]
CONFIG = {
    "stream": {"connect_timeout_s": 2, "auth_timeout_s": 2, "ack_timeout_s": 2, "ping_interval_s": 1, "pong_timeout_s": 2,
               "idle_timeout_s": 3, "cooldown_s": 1, "backoff_min_ms": 20, "backoff_max_ms": 200, "max_message_bytes": 1048576},
    "log": {"level": "notice"},
}


def connection(d):
    return d.status()["connections"][0]


def every_scenario():
    with Place() as place:
        sim = place.sim("--seed", 11, "--speed", 120, "--start", session_start("09:40"))
        topics = ["trades", "bars_1s", "bars_1m"]
        d = place.daemon(sim, clusters=[{"name": "stocks", "symbols": ["AAPL", "MSFT"], "topics": topics}], config=CONFIG)
        d.until_live("AAPL", "MSFT")
        for name in SCENARIOS:
            before = connection(d)["connects"]
            sim.ask("scenario", name=name)
            sim.ask("drop")
            started = time.monotonic()
            until(lambda: connection(d)["connects"] > before, name + ": a new connection", deadline=30)
            have = d.counters()["events_received"]
            until(lambda: d.counters()["events_received"] > have + 100, name + ": data flows", deadline=30)
            # those that end a connection some messages later have had their chance now; it must come back from them too
            lasts = {"revise": 7.0, "half-open": 5.0}.get(name, 1.0)  # these take their time
            time.sleep(max(0.0, lasts - (time.monotonic() - started)))
            sim.ask("scenario", name="none")
            until(lambda: connection(d)["state"] == "live", name + ": live again", deadline=30)
            print("ok   %s (%.1f s)" % (name, time.monotonic() - started), flush=True)
        d.until_live("AAPL", "MSFT")
        compare_with_truth(sim, d)


def compare_with_truth(sim, d):
    sim.ask("silence")
    until(lambda: settled(d), "the stream is quiet")
    c = d.counters()
    check(sum(c["events_" + e] for e in ENDS) == c["events_received"],
          "received (%d) = published + duplicate + refused ... exactly" % c["events_received"])
    effects = ("events_malformed", "events_unknown", "events_duplicate", "bars_revised", "ws_protocol_errors", "ws_idle_drops")
    check(all(c[e] for e in effects), "the scenarios had their effect: %s" % {e: c[e] for e in effects})
    for symbol in ("AAPL", "MSFT"):
        rows = [json.loads(line) for line in d.ctl("get", symbol, "-n", 1000, "--json").stdout.splitlines()]
        rows = {r["t"]: r for r in rows if r.get("timespan") == "1m" and not r.get("forming")}
        page = sim.get("/v2/aggs/ticker/%s/range/1/minute/%d/%d" % (symbol, min(rows), max(rows)), limit=50000)
        truth = {b["t"]: b for b in page["results"]}
        wrong = [t for t, r in rows.items() if t not in truth or any(truth[t][k] != r[k] for k in ("o", "h", "l", "c", "v", "vw"))]
        check(not wrong, "%s: all of %d rows are the exchange's (wrong: %s)" % (symbol, len(rows), wrong[:5]))
        check(sorted(rows) == list(rows), "in order")


def settled(d):
    before = d.counters()["events_received"]
    time.sleep(0.5)
    return d.counters()["events_received"] == before


main(every_scenario)
