#!/usr/bin/env python3
"""polyctl compute: bytes, revisions, bad lines, exit codes; no daemon, no bus."""
import csv
import gzip
import io
import json
import os
import pathlib
import random
import subprocess
import tempfile

from cli import BUILD, POLYCTL, run

T0 = 1732285800000  # 2024-11-22 14:30 UTC
SEED = int(os.environ.get("SEED", "11"))


def compute(text, *words, name=None):
    r = subprocess.run([POLYCTL, "compute", name or "-"] + list(words), input=text if isinstance(text, bytes) else text.encode(),
                       capture_output=True, timeout=60)
    return r.returncode, r.stdout.decode(), r.stderr.decode()


def bars(n, rng):
    """Rows as dicts; prices with few digits and with many, gaps, volumes absent now and then."""
    rows, t, price = [], T0, 187.0
    for _ in range(n):
        close = price * (1 + 0.002 * (rng.random() - 0.5))
        close = round(close, 2) if rng.random() < 0.5 else close
        rows.append({"t": t, "o": price, "h": max(price, close) + 0.25, "l": min(price, close) - 0.25, "c": close,
                     "v": rng.choice(["", 0, 100, 12.5]) if rng.random() < 0.2 else rng.randrange(100000),
                     "vw": "" if rng.random() < 0.3 else (price + close) / 2})
        price = close
        t += 60000 * (1 if rng.random() < 0.95 else rng.randrange(2, 2000))
    return rows


def table(rows, names=("t", "o", "h", "l", "c", "v", "vw")):
    return ",".join(names) + "\n" + "".join(",".join(str(row[name]) for name in names) + "\n" for row in rows)


def streamed_is_batch():
    rng = random.Random(SEED)
    print("SEED=%d" % SEED)
    text = table(bars(30000, rng))
    code, whole, err = compute(text)
    assert (code, err) == (0, ""), (code, err)
    assert compute(text, "--stream") == (0, whole, "")
    assert compute(text, "--engine", "cpu", "--csv") == (0, whole, "")
    rows = list(csv.DictReader(io.StringIO(whole)))
    assert len(rows) == 30000 and list(rows[0])[:3] == ["t", "sma_20", "ema_12"]
    for row in rows:  # %.17g, or empty
        for value in list(row.values())[1:]:
            assert value == "" or value == "%.17g" % float(value), value
    code, lines, err = compute(text, "--json")
    assert (code, err) == (0, "")
    for row, line in zip(rows, lines.splitlines(), strict=True):
        want = {k: None if v == "" else float(v) for k, v in row.items()}
        assert json.loads(line) == want, (line, want)


def on_a_gpu():
    """Over the stand-in for NVIDIA's libraries: the same bytes, also when the GPU dies in the middle, which is said."""
    text = table(bars(13000, random.Random(SEED)))
    want = compute(text)[1]
    with tempfile.TemporaryDirectory() as kept:
        env = dict(os.environ, LD_LIBRARY_PATH=str(BUILD / "tests" / "fake"), XDG_CACHE_HOME=kept)
        for words in ([], ["--stream"]):
            for fault in ("", "kernel@1=700", "kernel@2=719"):
                r = subprocess.run([POLYCTL, "compute", "-", "--engine", "cuda"] + words, input=text, capture_output=True, text=True,
                                   env=dict(env, FAKE_CUDA_FAULTS=fault), timeout=60)
                said = "polyctl: engine: cpu (" in r.stderr and "cuda failed and was left: Fake GPU 0" in r.stderr
                assert r.returncode == 0 and r.stdout == want and said == (fault != "") and r.stderr.count("\n") == said, (words, fault, r.stderr)
        env["LD_LIBRARY_PATH"] = str(BUILD / "tests")
        r = subprocess.run([POLYCTL, "compute", "-", "--engine", "cuda"], input=text, capture_output=True, text=True, env=env)
        if subprocess.run(["sh", "-c", "ldconfig -p | grep -q libcuda.so.1"]).returncode != 0:
            assert (r.returncode, r.stdout) == (1, "") and "cuda: no NVIDIA driver (libcuda.so.1 not found)" in r.stderr, r.stderr


def help_and_completion():
    def offered(*words):
        return subprocess.run([POLYCTL, "complete", "--"] + list(words), capture_output=True, text=True).stdout.split()
    names = offered("compute", "--indicators", "")
    assert {"sma_20", "macd", "macd_hist", "bb", "bb_upper", "stoch", "stoch_d", "obv", "vwap", "vwap_ext", "vwap_20"} <= set(names), names
    assert len(set(names)) == len(names)
    assert compute("t,o,h,l,c\n", "--indicators", ",".join(n for n in names if n not in ("macd", "bb", "stoch")))[0] == 0
    assert offered("compute", "--indicators", "sma_20,vwap_2") == ["sma_20,vwap_20"]
    text = subprocess.run([POLYCTL, "help", "compute"], capture_output=True, text=True).stdout
    assert "macd, macd_FAST_SLOW_SIGNAL" in text and "population standard deviation" in text, text


def values_by_hand():
    code, out, _ = compute("t,o,h,l,c,v,vw\n" + "".join("%d,1,%d,0,%d,10,\n" % (T0 + i * 60000, i + 1, i + 1) for i in range(4)),
                           "--indicators", "sma_3, obv,vwap_2")
    assert code == 0
    assert out.splitlines()[0] == "t,sma_3,obv,vwap_2"
    rows = [line.split(",")[1:] for line in out.splitlines()[1:]]
    assert [row[:2] for row in rows] == [["", "10"], ["", "20"], ["2", "30"], ["3", "40"]], out
    assert rows[0][2] == "" and all(abs(float(row[2]) - want) < 1e-15 * 4 for row, want in zip(rows[1:], (1, 5 / 3, 7 / 3))), out


def columns_in_any_order():
    rows = bars(300, random.Random(SEED))
    _, want, _ = compute(table(rows))
    for row in rows:
        row["name"] = '"Apple, Inc ""A"""'
    assert compute(table(rows, ("name", "vw", "c", "v", "t", "l", "h", "o"))) == (0, want, "")
    text = table(rows, ("name", "vw", "c", "v", "t", "l", "h", "o"))
    windows = ("\ufeff" + text.replace(",", " , ").replace("\n", "\r\n").replace("Apple , Inc", "Apple, Inc")).encode()
    assert compute(windows)[1] == want
    assert compute(text.upper().rstrip("\n"))[1] == want  # the last line has no end
    quoted = table([{k: '"%s"' % v if k != "name" else v for k, v in row.items()} for row in rows])
    assert compute(quoted)[1] == want


def revisions():
    """What comes out is what the final history gives: bars that came again replace, late ones are put in their place."""
    rng = random.Random(SEED + 1)
    final = bars(12000, rng)
    sent = []
    for i, row in enumerate(final):
        if rng.random() < 0.01:
            continue  # comes later
        wrong = dict(row, c=row["c"] * 1.01, h=row["h"] * 1.02) if rng.random() < 0.05 else row
        sent.append((i, wrong))
        if wrong is not row:
            sent.append((i + rng.choice([0, 1, 30, 3000]), row))
    here = {id(row) for _, row in sent}
    sent += [(i + rng.choice([1, 40, 3000]), row) for i, row in enumerate(final) if id(row) not in here]
    sent.sort(key=lambda pair: pair[0])
    assert [row for _, row in sent] != final
    code, want, _ = compute(table(final))
    text = table([row for _, row in sent])
    for words in ([], ["--stream"]):
        got = compute(text, *words)
        assert got == (0, want, ""), (got[0], got[2], [p for p in zip(got[1].splitlines(), want.splitlines()) if p[0] != p[1]][:1])


def too_late():
    rows = bars(9000, random.Random(SEED))
    late = [rows[100]] + rows[:100] + rows[101:]
    held = rows[:4000] + [dict(rows[5], c=rows[5]["c"])] + rows[4000:]
    assert compute(table(held)) == compute(table(rows))
    code, out, err = compute(table(rows + [rows[0]]))
    assert code == 6 and "line 9002: t runs back further than 4096 bars" in err and "1 of 9001 lines refused" in err, err
    assert out == compute(table(rows))[1]
    assert compute(table(late)) == compute(table(rows))  # before all others: inserted


def bad_lines():
    good = "%d,1,2,0.5,1.5,10,1.25\n"
    head = "t,o,h,l,c,v,vw\n"
    want = compute(head + good % T0 + good % (T0 + 60000), "--indicators", "obv")[1]
    for line, reason in (("%d,1,2,0.5,,10,1" % T0, "c is missing"), ("%d,1,2,0.5,x,10,1" % T0, "c is not a number: x"),
                         ("%d,1,2,0.5,1e999,10,1" % T0, "c is not finite"), ("%d,1,2,0.5,1,-1,1" % T0, "the volume is negative"),
                         ("%d,1,2,0.5,1,1" % T0, "6 fields, the header has 7"), ("%d,1,2,0.5,1,1,1,1" % T0, "8 fields, the header has 7"),
                         (",1,2,0.5,1,1,1", "t is missing"), ("2024-01-02,1,2,0.5,1,1,1", "t is not a time in whole ms since 1970"),
                         ("%d000000,1,2,0.5,1,1,1" % T0, "t is not between 1900 and 2100"), ("%d.5,1,2,0.5,1,1,1" % T0, "t is not a time"),
                         ("%d,1,2,0.5,0x10,1,1" % T0, "c is not a number"), ("%d,1,2,0.5,inf,1,1" % T0, "c is not a number"),
                         ("\x1b[31m", "t is not a time"), ("%d,1,2,0.5,\0,1,1" % T0, "c is not a number")):
        code, out, err = compute(head + good % T0 + line + "\n" + good % (T0 + 60000), "--indicators", "obv")
        assert code == 6 and out == want, (line, code, out)
        assert "line 3: " + reason in err and "1 of 3 lines refused" in err and "\x1b" not in err, (line, err)
    code, out, err = compute(head + "x\n" * 100 + good % T0, "--indicators", "obv")
    assert code == 6 and err.count("\n") == 12 and "100 of 101 lines refused" in err, err
    code, out, err = compute(head + good % T0 + "9" * 3000000 + "\n\n" + good % (T0 + 60000), "--indicators", "obv")
    assert (code, out) == (6, want) and "line 3: longer than" in err, err
    loose = head + "%d, +1,2.,.5,1.50,1e1,NaN\n" % T0
    code, out, err = compute(loose, "--indicators", "obv")
    assert (code, err) == (0, "") and out.splitlines()[1] == "%d,10" % T0
    assert "looks like seconds" in compute(head + good % (T0 // 1000))[2]


def mistakes():
    for text, words, want, reason in (
            ("", [], 1, "empty"), ("t,o,h,l\n", [], 1, "line 1: no column c"), ("t,o,h,l,c,c\n", [], 1, "line 1: two columns c"),
            ("1,2,3,4,5\n", [], 1, "no column t"), ("t,o,h,l,c\n", ["--indicators", "smaa_20"], 2, "did you mean sma_20?"),
            ("t,o,h,l,c\n", ["--indicators", "rsi14"], 2, "did you mean rsi_14?"),
            ("t,o,h,l,c\n", ["--indicators", ","], 2, "none given"), ("t,o,h,l,c\n", ["--engine", "gpu"], 2, "no such engine"),
            ("t,o,h,l,c\n", ["--session", "eu"], 2, "no such session"), ("t,o,h,l,c\n", ["more"], 2, "one file at a time"),
            (gzip.compress(b"t,o,h,l,c\n"), [], 1, "line 1: gzip: zcat FILE | polyctl compute -"),
            ("t;o;h;l;c\n", [], 1, "names the columns, with commas"), ("x" * 2000000, [], 1, "line 1: longer than")):
        code, out, err = compute(text, *words)
        assert code == want and reason in err and err.startswith("polyctl: ") and out == "", (text[:20], words, code, err)
    code, out, err = compute("", name="/nonexistent/bars.csv")
    assert code == 1 and "No such file" in err
    assert compute("t,o,h,l,c\n", "--indicators", "rsi_2") == (0, "t,rsi_2\n", "")
    r = subprocess.run([POLYCTL, "compute"], capture_output=True, text=True)
    assert r.returncode == 2 and "no file" in r.stderr
    with open("/dev/full", "w") as full:
        r = subprocess.run([POLYCTL, "compute", "-"], input=table(bars(100, random.Random(1))), stdout=full, stderr=subprocess.PIPE, text=True)
    assert r.returncode == 1 and r.stderr == "polyctl: standard output: No space left on device\n", r.stderr
    for closed, reason in (("<&-", "standard input: Bad file descriptor"), (">&-", "standard output: Bad file descriptor"),
                           ("| true", "")):
        r = subprocess.run(["sh", "-c", "printf 't,o,h,l,c\\n%d,1,1,1,1\\n' | { sleep 0.2; %s compute - %s; }" % (T0, POLYCTL, closed)],
                           capture_output=True, text=True)
        assert r.stdout == "" and reason in r.stderr and "Sanitizer" not in r.stderr, (closed, r)


def from_a_file():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "bars.csv"
        text = table(bars(500, random.Random(3)))
        path.write_text(text)
        assert compute("", name=str(path)) == compute(text)
        path.write_text(text + "oops\n")
        code, _, err = compute("", name=str(path))
        assert code == 6 and err.startswith("polyctl: %s: line 502: " % path), err
    utc, us = (compute(text, "--indicators", "vwap", "--session", s)[1] for s in ("utc", "us"))
    assert utc != us


if __name__ == "__main__":
    run(streamed_is_batch, on_a_gpu, help_and_completion, values_by_hand, columns_in_any_order, revisions, too_late, bad_lines, mistakes, from_a_file)
