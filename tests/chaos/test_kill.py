#!/usr/bin/python3
"""kill -9 of the daemon at random points under readers: nothing torn, nothing foreign, no published row lost, readers recover.

ROUNDS=n (6 here, 200 in `make chaos`), SEED=n.
"""
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../integration"))
from harness import BUILD, Place, check, end, main, until  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", "6"))
SEED = int(os.environ.get("SEED", time.time_ns() % 1000000))
BAR0 = 1700000040000


class Emitter(threading.Thread):
    """Sends numbered trades, and bars of one minute after another with revisions of recent ones, for as long as it lives."""

    def __init__(self, sim, rng):
        super().__init__(daemon=True)
        self.sim, self.rng = sim, rng
        self.seq, self.minute, self.stopped = 0, 0, False

    def message(self):
        events = []
        for _ in range(50):
            self.seq += 1
            s = self.seq
            events.append({"ev": "T", "sym": "CHAOS", "x": 4, "i": str(s), "z": 3, "p": s / 4, "s": s % 997,
                           "t": 1700000000000 + s, "q": s})
        k = self.minute
        if self.rng.random() < 0.5 and k > 0:
            k = max(0, k - self.rng.randrange(1, 12))  # a revision
        elif self.minute < 3000:
            self.minute += 1
            k = self.minute - 1
        x = k + 1 + 1000000 * self.rng.randrange(1, 1000)
        events.append({"ev": "AM", "sym": "CHAOS", "v": x, "vw": x, "o": x, "h": x, "l": x, "c": x, "s": BAR0 + k * 60000,
                       "e": BAR0 + (k + 1) * 60000})
        return json.dumps(events)

    def run(self):
        while not self.stopped:
            try:
                self.sim.ask("emit", self.message())
            except OSError:
                time.sleep(0.05)


def kill_under_readers():
    print("seed %d, %d rounds" % (SEED, ROUNDS))
    rng = random.Random(SEED)
    with Place() as place:
        sim = place.sim("--seed", 3, "--speed", 1)
        clusters = [{"name": "stocks", "symbols": ["CHAOS"], "topics": ["trades", "bars_1m"]}]
        d = place.daemon(sim, clusters=clusters, config={"rest": {"warm": False}, "bus": {
            "symbols": 4, "bars": [{"timespan": "1m", "rows": 4096}], "trades": 65536, "quotes": 0}})
        d.until_live("CHAOS")
        readers = [subprocess.Popen([BUILD / "tests/chaos/helper_reader", d.instance], stdout=subprocess.PIPE, text=True)
                   for _ in range(2)]
        try:
            for r in readers:
                check(r.stdout.readline() == "attached\n", "a reader is attached")
            emitter = Emitter(sim, rng)
            emitter.start()
            for _ in range(ROUNDS):
                time.sleep(rng.uniform(0.05, 1.0))
                d.process.send_signal(signal.SIGKILL)
                d.process.wait()
                d.start().until_live("CHAOS")
            before = d.counters().get("trades", 0)
            until(lambda: d.counters().get("trades", 0) > before + 100, "trades flow after the last restart")
            emitter.stopped = True
            emitter.join()
            check(emitter.minute > 0, "%d trades and %d bars were sent" % (emitter.seq, emitter.minute))
        finally:
            codes = [end(r) for r in readers]
        for r, code in zip(readers, codes):
            a = json.loads(r.stdout.read())
            print("     " + json.dumps(a))
            check(a["torn"] == 0 and a["disorder"] == 0 and a["rows_lost"] == 0 and code == 0, "nothing torn, foreign or lost")
            check(a["trades"] > 0 and a["rows"] > 0 and a["epochs"] >= ROUNDS, "it saw every restart and went on")
            check(a["reattached"] == 0, "the segments were adopted each time")


def stopped_reader_learns_its_loss():
    with Place() as place:
        sim = place.sim("--seed", 3, "--speed", 1)
        clusters = [{"name": "stocks", "symbols": ["CHAOS"], "topics": ["trades", "bars_1m"]}]
        d = place.daemon(sim, clusters=clusters, config={"rest": {"warm": False}, "bus": {
            "symbols": 4, "bars": [{"timespan": "1m", "rows": 4096}], "trades": 1024, "quotes": 0}})
        d.until_live("CHAOS")
        reader = subprocess.Popen([BUILD / "tests/chaos/helper_reader", d.instance], stdout=subprocess.PIPE, text=True)
        emitter = Emitter(sim, random.Random(SEED))
        try:
            reader.stdout.readline()
            for _ in range(3):
                sim.ask("emit", emitter.message())
            reader.send_signal(signal.SIGSTOP)
            for _ in range(100):
                sim.ask("emit", emitter.message())
            until(lambda: d.counters().get("trades") == emitter.seq, "the writer does not notice")
            reader.send_signal(signal.SIGCONT)
            time.sleep(0.5)
        finally:
            reader.send_signal(signal.SIGCONT)
            code = end(reader)
        a = json.loads(reader.stdout.read())
        print("     " + json.dumps(a))
        check(code == 0 and a["torn"] == 0, "nothing torn")
        check(a["trades_lost"] > 0 and a["trades"] + a["trades_lost"] == emitter.seq,
              "delivered + lost = sent, exactly (%d + %d = %d)" % (a["trades"], a["trades_lost"], emitter.seq))


main(kill_under_readers, stopped_reader_learns_its_loss)
