#!/usr/bin/python3
"""bench-cache, the whole program: from the start of polygond to the last of 10,000 x 1,000 rows with its indicators.

The cache is filled by bench_cache; nothing else is there, as after a reboot: no shared memory. The daemon connects to the stand-in, subscribes
the symbols and is looked at through its board. Reference, by turns: as many bytes of fresh shared memory as the daemon's bus took, touched by
as many threads as there are processors. JSON lines; the cache lies in $TMPDIR.
"""
import calendar
import concurrent.futures
import ctypes
import json
import mmap
import os
import pathlib
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../integration"))
sys.path.insert(0, os.path.join(HERE, "../../clients/python"))
import polygond  # noqa: E402
from harness import BUILD, Place  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", "5"))
SYMBOLS = ["SIM%04d" % (i + 1) for i in range(10000)]
ROWS = 1000
SATURDAY = calendar.timegm((2026, 7, 18, 16, 0, 0))  # noon in New York, as in bench_cache
MADV_POPULATE_WRITE = 23


def counters(instance):
    try:
        bus = polygond.attach(instance)
    except polygond.Error:
        return {}
    try:
        return bus.counters()
    finally:
        bus.close()


def start(daemon):
    """Seconds until READY's board is there, until all rows are published, until all have indicators."""
    begin = time.monotonic()
    daemon.start()
    times = []
    for name in ("events_received", "bars_appended", "engine_rows"):
        want = len(SYMBOLS) * ROWS if times else 0
        while counters(daemon.instance).get(name, -1) < want:
            if time.monotonic() - begin > 60 or daemon.process.poll() is not None:
                sys.exit("bench-cache: rows are missing: %s" % counters(daemon.instance))
            time.sleep(0.01)
        times.append(time.monotonic() - begin)
    return times


def stop(daemon):
    daemon.stop()
    files = list(pathlib.Path("/dev/shm").glob("polygond.%s.*" % daemon.instance))
    size = sum(f.stat().st_blocks * 512 for f in files)
    daemon.remove()
    return size


def touch(size, threads):
    """Seconds to have so many bytes of shared memory for the first time."""
    path = "/dev/shm/polygond.bench-touch.%d" % os.getpid()
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.unlink(path)
    size = size // threads // mmap.PAGESIZE * mmap.PAGESIZE * threads
    os.ftruncate(fd, size)
    memory = mmap.mmap(fd, size)
    os.close(fd)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)

    def part(i):
        each = size // threads
        return libc.madvise(ctypes.c_void_p(base + i * each), ctypes.c_size_t(each), MADV_POPULATE_WRITE)
    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        if any(pool.map(part, range(threads))):
            sys.exit("bench-cache: memory cannot be populated")
    return time.monotonic() - begin


def main():
    with Place() as place:
        so = place.folder / "clock_shift.so"
        subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-o", so, HERE + "/../integration/clock_shift.c"], check=True)
        sim = place.sim("--seed", 7, "--speed", 1, "--start", SATURDAY * 1000, "--symbols", len(SYMBOLS))
        cache = place.folder / "cache"
        subprocess.run([BUILD / "tests/bench/bench_cache", cache, "https://localhost:%s" % sim.ports["https"]], check=True)
        env = {"LD_PRELOAD": str(so), "CLOCK_SHIFT": str(int(SATURDAY - time.time()))}
        daemon = place.daemon(sim, env=env, clusters=[{"name": "stocks", "symbols": SYMBOLS, "topics": ["bars_1m"]}], config={
            "cache": {"enabled": True, "directory": str(cache)}, "log": {"level": "warning"}, "rest": {"recheck_minutes": 0},
            "bus": {"symbols": len(SYMBOLS), "bars": [{"timespan": "1m", "rows": ROWS + 1}], "trades": 0, "quotes": 0}})
        daemon.stop()
        daemon.remove()
        rounds, touched, size = [], [], 0
        for i in range(ROUNDS):
            if i % 2 and size:
                touched.append(touch(size, os.cpu_count()))
            rounds.append(start(daemon))
            asked = counters(daemon.instance)["rest_requests"]
            if asked:
                sys.exit("bench-cache: %d requests were made" % asked)
            size = stop(daemon)
            if not i % 2:
                touched.append(touch(size, os.cpu_count()))
    ready, published, computed = (statistics.median(r[i] for r in rounds) for i in range(3))
    note = ("from the start of the program, nothing of it in memory; median of %d (%s); its segments there after %.2f s, all rows after %.2f s; "
            "reference: %s" % (ROUNDS, ", ".join("%.2f" % r[2] for r in rounds), ready, published, "%s"))
    for what, reference in (("the goal", 2.0),
                            ("%d MiB of fresh shared memory touched by %d threads, and no more (%s)"
                             % (size >> 20, os.cpu_count(), ", ".join("%.2f" % t for t in touched)), statistics.median(touched))):
        print(json.dumps({"name": "restart_warm_cache_program", "ours": round(computed, 3), "reference": round(reference, 3),
                          "ratio": round(computed / reference, 3), "unit": "s", "note": note % what}), flush=True)


main()
