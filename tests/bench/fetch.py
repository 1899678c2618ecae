#!/usr/bin/python3
"""bench-fetch: polyctl fetch over TLS and gzip from the stand-in, whose pages are ready, to a table in /dev/null; and again, out of the cache.

Rows a second by the clock and of CPU time of all threads; the start of the process is part of it. Reference of the same run: Debian's
python3-urllib3, json and csv bringing the same bars without indicators, of the first symbol. JSON lines.
"""
import csv
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))
from harness import BUILD, KEY, Place, to_yaml  # noqa: E402

SYMBOLS = ["SIM%04d" % (i + 1) for i in range(int(os.environ.get("SYMBOLS", "12")))]
ROUNDS = int(os.environ.get("ROUNDS", "3"))
FROM, TO = "2025-01-01", "2025-12-31"


def run(argv, out):
    """Seconds, seconds of CPU, peak MiB."""
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        os.execve(argv[0], [str(a) for a in argv], dict(os.environ, POLYGON_API_KEY=KEY))
    _, status, usage = os.wait4(pid, 0)
    assert status == 0, status
    return time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def python(url, ca):
    import urllib3
    http = urllib3.PoolManager(ca_certs=ca)
    start, bars = time.monotonic(), 0
    with open("/dev/null", "w", newline="") as null:
        table = csv.writer(null)
        at = "%s/v2/aggs/ticker/%s/range/1/minute/%s/%s?adjusted=true&sort=asc&limit=50000" % (url, SYMBOLS[0], FROM, TO)
        while at:
            answer = http.request("GET", at, headers={"Authorization": "Bearer " + KEY, "Accept-Encoding": "gzip"})
            page = json.loads(answer.data)
            for b in page.get("results", []):
                table.writerow((SYMBOLS[0], b["t"], b["o"], b["h"], b["l"], b["c"], b["v"], b["vw"], b["n"]))
                bars += 1
            at = page.get("next_url")
    return bars / (time.monotonic() - start)


def main():
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 1, "--start", "2026-03-15T12:00")
        url, ca = "https://localhost:" + sim.ports["https"], str(sim.folder / "ca.pem")
        table, serial = sim.folder / "table", 0

        def fetch(fresh, out, *more):
            nonlocal serial
            serial += fresh
            config = sim.folder / "fetch.yaml"
            config.write_text(to_yaml({"rest": {"url": url, "requests_per_second": 0}, "stream": {"ca_file": ca},
                                       "cache": {"directory": str(sim.folder / ("cache%d" % serial))}}))
            return run([BUILD / "polyctl", "fetch", "--quiet", "--config", config, "--from", FROM, "--to", TO, *more, *SYMBOLS], out)

        fetch(True, table)  # the stand-in renders its pages once
        rows = sum(1 for _ in open(table)) - 1
        size = table.stat().st_size
        table.unlink()
        reference = max(python(url, ca) for _ in range(ROUNDS))
        plain = ("--columns", "t,o,h,l,c,v,vw,n")
        for name, fresh, more in (("fetch.vendor", True, ()), ("fetch.vendor_bars_only", True, plain), ("fetch.cache", False, ()),
                                  ("fetch.cache_bars_only", False, plain)):
            seconds, cpu, peak = min(fetch(fresh, "/dev/null", *more) for _ in range(ROUNDS))
            note = "reference: python3-urllib3, json and csv, bars only; %d rows, %.2f M/s of CPU, peak %.0f MiB" % (rows, rows / cpu / 1e6, peak)
            if not more:
                note += ", a table of %.0f MB" % (size / 1e6)
            print(json.dumps({"name": name, "ours": round(rows / seconds), "reference": round(reference),
                              "ratio": round(rows / seconds / reference, 2), "unit": "rows/s", "note": note}), flush=True)


main()
