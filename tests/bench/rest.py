#!/usr/bin/python3
"""bench-rest: minute bars over REST from the stand-in to published rows, by the daemon's own code.

Ours: bars a second of CPU time of all threads (engine's included). References of the same run: the same bytes only received
and inflated; Debian's python3-urllib3 with json. JSON lines.
"""
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))
from harness import BUILD, KEY, Place  # noqa: E402

SYMBOLS = ["SIM%04d" % (i + 1) for i in range(int(os.environ.get("SYMBOLS", "6")))]
ROUNDS = int(os.environ.get("ROUNDS", "3"))
FROM, TO = 1735711200000, 1767247200000  # a year


def helper(what, url, ca, workers=1):
    p = subprocess.run([BUILD / "tests/bench/helper_rest", what, url, ca, str(FROM), str(TO), str(workers), *SYMBOLS],
                       env=dict(os.environ, POLYGON_API_KEY=KEY), stdout=subprocess.PIPE, text=True, check=True)
    bars, size, cpu, wall = p.stdout.split()
    return int(bars), int(size), float(cpu), float(wall)


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


def main():
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 1, "--start", "2026-03-15T12:00")  # a Sunday: nothing else on the wire
        ca = str(sim.folder / "ca.pem") if hasattr(sim, "folder") else str(place.folder / "ca.pem")
        for scheme, name in (("https", "rest.tls_gzip"), ("http", "rest.plain_gzip")):
            url = "%s://localhost:%s" % (scheme, sim.ports[scheme])
            helper("drain", url, ca)  # the stand-in renders its pages once
            best = min((helper("publish", url, ca) for _ in range(ROUNDS)), key=lambda r: r[2])
            floor = min((helper("drain", url, ca) for _ in range(ROUNDS)), key=lambda r: r[2])
            bars, size, cpu, wall = best
            report(name, bars / cpu, bars / floor[2], "bars/s of CPU",
                   "reference: the same bytes received and inflated; %d bars of %.0f bytes, %.2f M bars/s by the clock" %
                   (bars, size / bars, bars / wall / 1e6))
            if scheme == "https":
                report(name + ".python", bars / cpu, python(url, ca), "bars/s of CPU", "reference: python3-urllib3 and json")
                for workers in (1, 2):
                    r = min((helper("publish", url, ca, workers) for _ in range(ROUNDS)), key=lambda r: r[3])
                    report("rest.workers_%d" % workers, r[0] / r[3], bars / wall, "bars/s",
                           "by the clock, %d CPUs; reference: the first line's" % os.cpu_count())


main()
