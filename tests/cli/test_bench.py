#!/usr/bin/env python3
"""polyctl bench: what its lines say and how it takes mistakes, in a tenth of a second each. No figure is judged."""
import json
import os
import re
import subprocess
import tempfile

from cli import BUILD, POLYCTL, run

CPU = ["cpu", "engine_batch", "engine_many", "engine_push_1", "engine_burst_10000", "engine_burst_10000_cold", "engine_burst_8000", "engine_revision"]
CUDA = ["cuda", "cuda_many", "cuda_push_1_p50", "cuda_push_1_p99", "cuda_push_10000_p50", "cuda_push_10000_p99"]
ISAS = ("engine_many_avx2", "engine_many_base")
NOBODY = str(BUILD / "tests")  # a folder of libraries that holds none of NVIDIA's


def bench(*words, fake=False):
    with tempfile.TemporaryDirectory() as kept:  # a stand-in's kernels are none for a GPU
        env = dict(os.environ, LD_LIBRARY_PATH=str(BUILD / "tests" / "fake") if fake else NOBODY, XDG_CACHE_HOME=kept)
        env.pop("CACHE_DIRECTORY", None)
        r = subprocess.run([POLYCTL, "bench"] + list(words), capture_output=True, text=True, timeout=240, env=env)
    return r.returncode, r.stdout, r.stderr


def rows_of(out):
    rows = [json.loads(line) for line in out.splitlines()]
    for row in rows:
        assert list(row) == ["name", "ours", "reference", "ratio", "unit", "note"], row
        assert row["note"] and row["unit"] in ("M bars/s", "us", "runs", "absent"), row
        if row["unit"] in ("runs", "absent"):
            assert row["ours"] is None and row["reference"] is None and row["ratio"] is None, row
        else:
            assert row["ours"] > 0 and row["reference"] > 0, row
            assert abs(row["ratio"] / (row["ours"] / row["reference"]) - 1) < 1e-9, row
    return {row["name"]: row for row in rows}


def cpu():
    code, out, err = bench("engine", "--engine", "cpu", "--seconds", "0.1", "--json")
    assert (code, err) == (0, ""), (code, err)
    rows = rows_of(out)
    assert [name for name in rows if name not in ISAS] == CPU, list(rows)
    assert "engine_many_base" in rows and "cpu (" in rows["cpu"]["note"]
    code, out, err = bench("engine", "--engine", "cpu", "--seconds", "0", "--json", "--indicators", "sma_200", "--threads", "3")
    rows = rows_of(out)
    assert (code, err) == (0, "") and "4000 rows" in rows["engine_revision"]["note"], (code, err)
    assert ", 3 threads)" in rows["cpu"]["note"], rows["cpu"]


def cuda():
    """Over the stand-in for NVIDIA's library."""
    code, out, err = bench("engine", "--engine", "cuda", "--seconds", "0.1", "--json", fake=True)
    assert (code, err) == (0, ""), (code, err)
    rows = rows_of(out)
    assert list(rows) == CUDA and "Fake GPU" in rows["cuda"]["note"], rows


def no_gpu():
    have = subprocess.run(["sh", "-c", "ldconfig -p | grep -q libcuda.so.1"]).returncode == 0
    if have:
        return
    code, out, err = bench("engine", "--engine", "cuda", "--json")
    assert code == 1 and "no GPU" in err, (code, err)
    assert rows_of(out)["cuda"]["unit"] == "absent"
    code, out, err = bench("engine", "--seconds", "0", "--csv")
    lines = out.splitlines()
    assert (code, err) == (0, "") and lines[0] == "name,ours,reference,ratio,unit,note"
    assert lines[1].startswith("cpu,,,,runs,") and lines[-1].startswith("cuda,,,,absent,"), out


def table():
    code, out, err = bench("engine", "--engine", "cpu", "--seconds", "0")
    assert (code, err) == (0, ""), (code, err)
    lines = out.splitlines()
    assert re.match(r"name +ours +reference +ratio +unit +note$", lines[0]), lines[0]
    assert any(re.match(r"engine_many +[\d.]+ +[\d.]+ +[\d.]+ M bars/s +64 series of 8192 rows", line) for line in lines), out


def mistakes():
    for words, reason in (([], "of what: engine"), (["ring"], "one thing to measure: engine"), (["engine", "more"], "one thing"),
                          (["engine", "--seconds", "x"], "not a number of seconds: x"), (["engine", "--seconds", "-1"], "not a number"),
                          (["engine", "--threads", "65"], "not a number from 0 to 64"), (["engine", "--threads", "-1"], "not a number"),
                          (["engine", "--engine", "gpu"], "no such engine"), (["engine", "--indicators", "nope"], "unknown"),
                          (["engine", "--indicators", ","], "none given"), (["engine", "--stream"], "no such option here")):
        code, out, err = bench(*words)
        assert code == 2 and reason in err and err.startswith("polyctl: ") and out == "", (words, code, err)
    with open("/dev/full", "w") as full:
        r = subprocess.run([POLYCTL, "bench", "engine", "--engine", "cpu", "--seconds", "0"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert r.returncode == 1 and "No space left" in r.stderr, r.stderr


def completion():
    def offered(*words):
        return subprocess.run([POLYCTL, "complete", "--"] + list(words), capture_output=True, text=True).stdout.split()
    assert offered("bench", "") == ["engine"] and offered("bench", "engine", "--engine", "c") == ["cpu", "cuda"]
    assert "--seconds" in offered("bench", "--") and "bench" in offered("b")


if __name__ == "__main__":
    run(cpu, cuda, no_gpu, table, mistakes, completion)
