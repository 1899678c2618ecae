#!/usr/bin/python3
"""bench-feed: WebSocket over TLS from the stand-in at full speed to rows visible in shared memory.

Trades, 100 events a message, over 100 symbols. Ours: events a second of the daemon's CPU time (the reader's view: the published
counter on the board). Reference: the same stream over the same TLS only received, decrypted, unframed and thrown away. JSON lines.
"""
import json
import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))
from harness import BUILD, KEY, Place, until  # noqa: E402

EVENTS = int(os.environ.get("EVENTS", "6000000"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
PER_MESSAGE = 100
SYMBOLS = ["SIM%04d" % (i + 1) for i in range(100)]


def cpu_seconds(pid):
    fields = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ours(sim, daemon):
    def published():
        return daemon.counters()["trades"]
    before, start_cpu, start = published(), cpu_seconds(daemon.process.pid), time.monotonic()
    sim.ask("burst", topic="T", events=EVENTS, per_message=PER_MESSAGE, symbols=len(SYMBOLS))
    until(lambda: published() >= before + EVENTS, "all events published", deadline=300, step=0.02)
    return cpu_seconds(daemon.process.pid) - start_cpu, time.monotonic() - start


def drained(sim, folder):
    url = "wss://localhost:%s/stocks" % sim.ports["https"]
    params = ",".join("T." + s for s in SYMBOLS)
    p = subprocess.Popen([BUILD / "tests/bench/helper_drain", url, folder / "ca.pem", str(EVENTS // PER_MESSAGE), params],
                         env=dict(os.environ, POLYGON_API_KEY=KEY), stdout=subprocess.PIPE, text=True)
    p.stdout.readline()
    sim.ask("burst", topic="T", events=EVENTS, per_message=PER_MESSAGE, symbols=len(SYMBOLS))
    cpu, wall, size = p.stdout.read().split()[-3:]
    p.wait()
    return float(cpu), float(wall), int(size)


def report(name, a, b, unit, note):
    print(json.dumps({"name": name, "ours": round(a, 3), "reference": round(b, 3), "ratio": round(a / b, 3), "unit": unit,
                      "note": note}), flush=True)


def main():
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 1, "--start", "2026-03-15T12:00")  # a Sunday: nothing else on the wire
        daemon = place.daemon(sim, clusters=[{"name": "stocks", "symbols": SYMBOLS, "topics": ["trades"]}], config={
            "rest": {"warm": False, "recheck_minutes": 0},
            "bus": {"symbols": 128, "bars": [{"timespan": "1m", "rows": 200}], "trades": 1 << 20, "quotes": 0}})
        daemon.until_live(*SYMBOLS)
        rounds = [ours(sim, daemon) for _ in range(ROUNDS)]
        daemon.stop()
        reference = [drained(sim, place.folder) for _ in range(ROUNDS)]
    cpu = statistics.median(r[0] for r in rounds)
    wall = statistics.median(r[1] for r in rounds)
    size = statistics.median(r[2] for r in reference) / EVENTS
    note = "%d trades, %d a message, %.0f bytes each, over TLS; median of %d" % (EVENTS, PER_MESSAGE, size, ROUNDS)
    report("feed_events_per_core_second", EVENTS / cpu / 1e6, EVENTS / statistics.median(r[0] for r in reference) / 1e6, "M/s", note)
    report("feed_events_per_second", EVENTS / wall / 1e6, EVENTS / statistics.median(r[1] for r in reference) / 1e6, "M/s",
           "wall clock, the stand-in sharing the machine")


main()
