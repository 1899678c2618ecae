#!/usr/bin/python3
"""bench-journal, the whole program: WebSocket over TLS from the stand-in at full speed, with and without a journal, and the replay.

Two daemons, each with a stand-in of its own, take the same bursts by turns: trades, 100 events a message, over 100 symbols. The third,
`polygond --replay --speed max`, serves the journal again. JSON lines; the journal lies in $JOURNAL or $TMPDIR.
"""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))
from harness import BUILD, Place, until  # noqa: E402

EVENTS = int(os.environ.get("EVENTS", "2000000"))
ROUNDS = int(os.environ.get("ROUNDS", "5"))
PER_MESSAGE = 100
SYMBOLS = ["SIM%04d" % (i + 1) for i in range(100)]
BUS = {"symbols": 128, "bars": [{"timespan": "1m", "rows": 200}], "trades": 1 << 20, "quotes": 0}


def cpu_seconds(pid, thread=None):
    path = "/proc/%d/stat" % pid if thread is None else "/proc/%d/task/%d/stat" % (pid, thread)
    fields = open(path).read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Side:
    def __init__(self, place, seed, journal):
        self.sim = place.sim("--seed", seed, "--speed", 1, "--start", "2026-03-15T12:00")  # a Sunday: nothing else on the wire
        config = {"rest": {"warm": False, "recheck_minutes": 0}, "bus": BUS}
        if journal:
            config["journal"] = {"enabled": True, "directory": str(journal)}
        self.daemon = place.daemon(self.sim, clusters=[{"name": "stocks", "symbols": SYMBOLS, "topics": ["trades"]}], config=config)
        self.daemon.until_live(*SYMBOLS)

    def burst(self):
        """Seconds by the clock, of the main thread's CPU, and of all threads', until all is published."""
        pid = self.daemon.process.pid
        before = self.daemon.counters()["trades"]
        start = time.monotonic(), cpu_seconds(pid, pid), cpu_seconds(pid)
        self.sim.ask("burst", topic="T", events=EVENTS, per_message=PER_MESSAGE, symbols=len(SYMBOLS))
        until(lambda: self.daemon.counters()["trades"] >= before + EVENTS, "all events published", deadline=120, step=0.01)
        return time.monotonic() - start[0], cpu_seconds(pid, pid) - start[1], cpu_seconds(pid) - start[2]


def replay(journal, instance):
    """Seconds from the start of the program to its end, by the clock."""
    start = time.monotonic()
    r = subprocess.run([BUILD / "polygond", "--replay", journal, "--speed", "max", "--instance", instance],
                       stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    took = time.monotonic() - start
    if r.returncode != 0:
        sys.exit("bench-journal: the replay failed: " + r.stderr)
    for path in pathlib.Path("/dev/shm").glob("polygond.%s.*" % instance):
        path.unlink()
    return took


def disk(folder, size):
    """Seconds for as many bytes, written and synced."""
    data, start = bytes(1 << 20), time.monotonic()
    with tempfile.TemporaryFile(dir=folder, buffering=0) as f:
        for _ in range(size >> 20):
            f.write(data)
        os.fdatasync(f.fileno())
    return time.monotonic() - start


def report(name, a, b, unit, note):
    print(json.dumps({"name": name, "ours": round(a, 3), "reference": round(b, 3), "ratio": round(a / b, 3), "unit": unit,
                      "note": note}), flush=True)


def main():
    journal = pathlib.Path(tempfile.mkdtemp(prefix="polygond-bench-", dir=os.environ.get("JOURNAL")))
    with Place() as place:
        sides = Side(place, 7, None), Side(place, 7, journal)
        for side in sides:
            side.burst()  # warms up
        off, on = [], []
        for i in range(ROUNDS):
            for side in sides if i % 2 else reversed(sides):
                (off if side is sides[0] else on).append(side.burst())
        counters = sides[1].daemon.counters()
        sides[0].daemon.stop()
        sides[1].daemon.stop()
        if counters["journal_lost"] or counters["journal_faults"]:
            print("bench-journal: %d records were left out of the journal" % counters["journal_lost"], file=sys.stderr)
        again = replay(journal, "%s-again" % sides[1].daemon.instance)
        size = sum(f.stat().st_size for f in journal.glob("*.pgj"))
        written = disk(journal, size // (ROUNDS + 1))
    shutil.rmtree(journal)
    pairs = list(zip(off, on))

    def rates(n):
        return [EVENTS / statistics.median(x[n] for x in side) / 1e6 for side in (on, off)]
    note = "%d trades, %d a message, over TLS; median of %d; of the pairs' ratios %.3f"
    report("journal_wall", *rates(0), "M/s", note % (EVENTS, PER_MESSAGE, ROUNDS, statistics.median(a[0] / b[0] for a, b in pairs)))
    report("journal_main_thread", *rates(1), "M/s of its CPU",
           note % (EVENTS, PER_MESSAGE, ROUNDS, statistics.median(a[1] / b[1] for a, b in pairs)))
    report("journal_all_threads", *rates(2), "M/s of their CPU",
           note % (EVENTS, PER_MESSAGE, ROUNDS, statistics.median(a[2] / b[2] for a, b in pairs)))
    report("replay_program", EVENTS * (ROUNDS + 1) / again / 1e6, rates(0)[1], "M/s",
           "polygond --replay --speed max from its start to its end; reference: the live daemon without a journal")
    each = size / (ROUNDS + 1)
    report("journal_disk", each / statistics.median(x[0] for x in on) / 1e6, each / written / 1e6, "MB/s",
           "what the journal took; reference: as many bytes written to the same folder and synced")


main()
