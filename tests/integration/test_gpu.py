#!/usr/bin/python3
"""The daemon and its GPU, over the stand-in for NVIDIA's libraries: which engine runs and why, and what becomes of the rows when a GPU
fails in flight."""
import json
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
from harness import BUILD, Place, check, main, session_start, until  # noqa: E402

START = session_start()
NOBODY = str(BUILD / "tests")  # a folder of libraries that holds none of NVIDIA's
FIELDS = ("t", "o", "h", "l", "c", "v", "vw")


def environment(folder, **more):
    return dict({"LD_LIBRARY_PATH": str(BUILD / "tests" / "fake"), "XDG_CACHE_HOME": str(folder)}, **more)


def config(kind, stay_us=20000):
    return {"engine": {"kind": kind, "gpu_stay_us": stay_us}, "bus": {"symbols": 128, "bars": [{"timespan": "1m", "rows": 8000}], "trades": 16384, "quotes": 16384}}


def nothing_of_nvidias_is_linked():
    for program in ("polygond", "polyctl"):
        needed = subprocess.run(["readelf", "-d", str(BUILD / program)], capture_output=True, text=True, check=True).stdout
        check("NEEDED" in needed and not re.search(r"NEEDED.*(cuda|nvrtc|nvidia)", needed), program + " needs no library of NVIDIA's")


def auto_says_which_and_why():
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 60, "--start", START)
        d = place.daemon(sim, config=config("auto"), env=environment(place.folder, LD_LIBRARY_PATH=NOBODY)).until_live("AAPL")
        text = d.ctl("status").stdout
        if subprocess.run(["sh", "-c", "ldconfig -p | grep -q libcuda.so.1"]).returncode != 0:
            check(re.search(r"^engine +cpu \(\w+\): no NVIDIA driver \(libcuda.so.1 not found\)$", text, re.M), "no driver: status says so")
        d.stop()
        d = place.daemon(sim, config=config("auto"), env=environment(place.folder)).until_live("AAPL")
        text = d.ctl("status").stdout
        check(re.search(r"^engine +cuda: \d+ us a bar of 1000 symbols, cpu \(\w+\) \d+; Fake GPU|"
                        r"^engine +cpu \(\w+\): \d+ us a bar of 1000 symbols, cuda \d+$", text, re.M), "a GPU: status has both figures")
        d.stop()


def cuda_that_cannot_be_had():
    with Place() as place:
        sim = place.sim("--seed", 7, "--start", START)
        d = place.daemon(sim, config=config("cuda"), env=environment(place.folder, FAKE_CUDA_DEVICES="0"))
        check(d.until_exit() == 78 and "cuda: the NVIDIA driver finds no GPU" in d.logged(), "engine.kind: cuda without one is an error")


def rows_of(d, symbol):
    r = d.ctl("get", symbol, "-n", 8000, "--json")
    return [row for row in map(json.loads, r.stdout.splitlines()) if "sma_20" in row]


def computed(rows, columns):
    """What polyctl compute makes of the same bars."""
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as f:
        f.write(",".join(FIELDS) + "\n")
        for row in rows:
            f.write(",".join("" if row[k] is None else repr(row[k]) for k in FIELDS) + "\n")
        f.flush()
        r = subprocess.run([BUILD / "polyctl", "compute", f.name, "--json", "--engine", "cpu"], capture_output=True, text=True, check=True)
    return [{k: json.loads(line)[k] for k in columns} for line in r.stdout.splitlines()]


def gpu_fails_in_flight():
    fails_in_flight(0, 6)  # every push is a kernel
    fails_in_flight(10000000, 2)  # a sweep, then blocks that stay


def fails_in_flight(stay_us, kernel):
    symbols = ["SIM%04d" % (i + 1) for i in range(100)]  # for fewer new series at a time the GPU is not asked
    t, rounds = 1700000040000, 40
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 1, "--start", session_start("03:00"), "--symbols", 100)
        d = place.daemon(sim, config=dict(config("cuda", stay_us), rest={"warm": False, "recheck_minutes": 0}),
                         clusters=[{"name": "stocks", "symbols": symbols, "topics": ["bars_1m"]}],
                         env=environment(place.folder, FAKE_CUDA_FAULTS="kernel@%d=700" % kernel))
        d.until_live(*symbols)
        check(d.status()["engine"] == "cuda: as configured; Fake GPU 0, fused kernels", "the GPU computes: " + d.status()["engine"])
        for i in range(rounds):
            sim.ask("burst", topic="AM", symbols=100, events=100, per_message=100, t=t + i * 60000)
            until(lambda: d.counters()["engine_rows"] == 100 * (i + 1), "round %d" % i)
        text = d.status()["engine"]
        check(re.match(r"cpu \(.*\): cuda failed and was left: Fake GPU 0: \w+: CUDA_ERROR_ILLEGAL_ADDRESS", text), "it was left: " + text)
        check(len(re.findall("cuda failed and was left", d.logged())) == 1, "the log says it once")
        for symbol in symbols[:3] + symbols[-1:]:
            rows = rows_of(d, symbol)
            columns = [k for k in ("sma_20", "rsi_14", "macd_signal", "bb_upper", "atr_14", "stoch_d", "obv", "vwap") if k in rows[-1]]
            got = [{k: row[k] for k in columns} for row in rows]
            check(len(columns) == 8 and len(rows) == rounds and got == computed(rows, columns), "every row of %s is as polyctl compute has it" % symbol)
        d.stop()


def rows_held_are_registered_at_start():
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 1, "--start", session_start("03:00"), "--symbols", 1)
        d = place.daemon(sim, config=dict(config("cuda"), rest={"warm": False, "recheck_minutes": 0}), env=environment(place.folder),
                         clusters=[{"name": "stocks", "symbols": ["SIM0001"], "topics": ["bars_1m"]}]).until_live("SIM0001")
        sim.ask("burst", topic="AM", symbols=1, events=1, per_message=1, t=1700000040000)
        until(lambda: d.counters()["engine_rows"] == 1, "a row")
        check(d.status()["engine"].startswith("cuda: as configured"), "the GPU is there")
        d.stop()
        d.env["FAKE_CUDA_FAULTS"] = "cuMemHostRegister@1=2"
        d.start().until_live("SIM0001")
        until(lambda: "registering memory: CUDA_ERROR_OUT_OF_MEMORY" in d.status()["engine"], "what is held is registered before any bar comes")
        check("left: registering memory" in d.logged() and d.counters().get("engine_rows", 0) == 0, "and a GPU that cannot is left then")
        d.stop()


if __name__ == "__main__":
    main(nothing_of_nvidias_is_linked, auto_says_which_and_why, cuda_that_cannot_be_had, gpu_fails_in_flight, rows_held_are_registered_at_start)
