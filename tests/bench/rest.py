#!/usr/bin/python3
"""bench-rest: minute bars over REST from the stand-in to published rows with their indicators, by the daemon's own code.

Ours: bars a second of CPU time of all threads (engine's included), and where it goes, in ns a bar. References of the same run: the
same bytes only received and inflated; Debian's python3-urllib3 with json. JSON lines. TOUCHED=1: rings whose memory was used before.
"""
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))
from harness import BUILD, KEY, Place  # noqa: E402

SYMBOLS = ["SIM%04d" % (i + 1) for i in range(int(os.environ.get("SYMBOLS", "12")))]
ROUNDS = int(os.environ.get("ROUNDS", "3"))
FROM, TO = 1735711200000, 1767247200000  # a year
STAGES = ("receive", "put", "inflate and parse", "engine")


def helper(what, url, ca, workers=1, **env):
    p = subprocess.run([BUILD / "tests/bench/helper_rest", what, url, ca, str(FROM), str(TO), str(workers), *SYMBOLS],
                       env=dict(os.environ, POLYGON_API_KEY=KEY, **env), stdout=subprocess.PIPE, text=True, check=True)
    return [float(word) for word in p.stdout.split()]  # bars, bytes, CPU, seconds, CPU by stage


def best(what, url, ca, by=2, **more):
    return min((helper(what, url, ca, **more) for _ in range(ROUNDS)), key=lambda r: r[by])


def python(url, ca):
    import urllib3
    http = urllib3.PoolManager(ca_certs=ca)
    start, bars = time.process_time(), 0
    for symbol in SYMBOLS[:1]:
        at = "%s/v2/aggs/ticker/%s/range/1/minute/%d/%d?adjusted=true&sort=asc&limit=50000" % (url, symbol, FROM, TO)
        while at:
            answer = http.request("GET", at, headers={"Authorization": "Bearer " + KEY, "Accept-Encoding": "gzip"})
            page = json.loads(answer.data)
            bars += len(page.get("results", []))
            at = page.get("next_url")
    return bars / (time.process_time() - start)


def report(name, a, b, unit, note):
    print(json.dumps({"name": name, "ours": round(a), "reference": round(b), "ratio": round(a / b, 3), "unit": unit, "note": note}),
          flush=True)


def stages(r):
    return ", ".join("%s %.0f" % (name, cpu / r[0] * 1e9) for name, cpu in zip(STAGES, r[4:]))


def main():
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 1, "--start", "2026-03-15T12:00")  # a Sunday: nothing else on the wire
        ca = str(sim.folder / "ca.pem")
        for scheme, coding in (("https", "gzip"), ("http", "gzip"), ("https", "identity"), ("http", "identity")):
            url = "%s://localhost:%s" % (scheme, sim.ports[scheme])
            name = "rest.%s_%s" % ("tls" if scheme == "https" else "plain", coding)
            sim.ask("scenario", "request: identity\n" if coding == "identity" else "")
            helper("drain", url, ca)  # the stand-in renders its pages once
            r, floor = best("publish", url, ca), best("drain", url, ca)
            report(name, r[0] / r[2], r[0] / floor[2], "bars/s of CPU",
                   "reference: the same bytes received and inflated; %d bars of %.0f bytes, %.2f M bars/s by the clock; ns a bar: %s" %
                   (r[0], r[1] / r[0], r[0] / r[3] / 1e6, stages(r)))
            report(name + ".rows", r[0] / (r[2] - r[4 + STAGES.index("engine")]), r[0] / r[2], "bars/s of CPU",
                   "to published rows, the engine's time left out; reference: with their indicators")
            if name != "rest.tls_gzip":
                continue
            report(name + ".python", r[0] / r[2], python(url, ca), "bars/s of CPU", "reference: python3-urllib3 and json")
            first = None
            for workers in (1, 2, 4):
                w = best("publish", url, ca, by=3, workers=workers)
                first = first or w[0] / w[3]
                report("rest.workers_%d" % workers, w[0] / w[3], first, "bars/s", "by the clock, %d CPUs; reference: one worker" %
                       os.cpu_count())


main()
