#!/usr/bin/env python3
"""Output of every verb against files in golden/. UPDATE=1 writes them anew."""
import os
import re

from cli import Bus, ROOT, T0, MINUTE, polyctl, run

GOLDEN = ROOT / "tests" / "cli" / "golden"
# What differs from run to run: pids, clocks, ages, sizes that follow the page size.
VOLATILE = [
    (re.compile(r"cli\d+-\d+"), "INSTANCE"),
    (re.compile(r"pid \d+"), "pid PID"), (re.compile(r'"pid":\d+'), '"pid":PID'),
    (re.compile(r"epoch \d+"), "epoch EPOCH"), (re.compile(r'"epoch":\d+'), '"epoch":EPOCH'),
    (re.compile(r"up [\d.]+\w+"), "up AGE"), (re.compile(r"[\d.]+[smhd\d]* ago"), "AGE ago"),
    (re.compile(r"for \d+d\d+h"), "for AGE"),
    (re.compile(r'"(started|first|last|uptime_s|heartbeat_age_s|memory|bytes)":[\d.]+'), r'"\1":N'),
    (re.compile(r"[\d.]+ MiB"), "SIZE"), (re.compile(r"^\d{13},0,0", re.M), "N,0,0"), (re.compile(r'"t":\d{13}(?=,"ws_)'), '"t":N'),
    (re.compile(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d"), "YYYY-MM-DD HH:MM:SS"),
    (re.compile(r"^1,\d+[\d.]*,\d+[\d.]*,stream", re.M), "1,N,N,stream"),
    (re.compile(r"^((?:bars|trades|quotes)\S*[ ,]+(?:bars|tape)[ ,]+)\d+", re.M), r"\1BYTES"),
]


def fill(bus):
    bus("symbol AAPL")
    bus("symbol BRK.B")
    bus("symbol X:BTCUSD 3 12 8")
    for i in range(5):
        bus.bar("AAPL", i, c=188.125 + i, indicators="%s 55.5 187.3" % ("nan" if i < 2 else repr(187.1 + i / 3)))
    bus.bar("AAPL", 3, verb="revise", index=3, c=1 / 3)
    bus.bar("BRK.B", 0, c=0.000123, indicators="nan nan -12.5")
    bus.bar("AAPL", 0, span="1s")
    bus.bar("AAPL", 5, verb="forming")
    bus("day 1m AAPL %d 187 1234567.5 187.5" % T0)
    bus("trade AAPL %d000000 187.235 100 77 52983525029461 4 12 37" % (T0 + 123))
    bus("trade BRK.B %d000000 187.5 0.25 18446744073709551615 0 0" % (T0 + 456))
    bus("quote AAPL %d456789 187.23 187.24 3 4 99" % (T0 + 123))
    bus("conn 6 2 closed by peer: \"going away\"")
    bus("error frame refused, \"quoted\", \x07bell, na\u00efve")
    bus("count 12")
    bus("gap 4 2 0 1 %d 0 2 1 0 0 0" % (T0 + 90000))
    bus("gap 0 1 1 8 %d %d 1 3 0 1 3" % (T0, T0 + 180000))
    bus("gap 1 3 0 2 %d %d 3 4 1 2 0" % (T0, T0 + 3600000))


CASES = [(name + suffix, words + flag, {})
         for suffix, flag in (("", []), (".json", ["--json"]), (".csv", ["--csv"]))
         for name, words in (("get", ["get", "AAPL"]), ("list", ["list"]), ("segments", ["list", "--segments"]),
                             ("errors", ["errors"]), ("stat", ["stat"]), ("gaps", ["gaps"]),
                             ("subscribe", ["subscribe", "AAPL", "BRK.B", "--from-start", "-n", "6"]),
                             ("subscribe_1s", ["subscribe", "AAPL", "--bars", "1s", "-n", "1"]),
                             ("trades", ["subscribe", "*", "--trades", "--from-start", "-n", "2"]),
                             ("quotes", ["subscribe", "AAPL", "--quotes", "-n1"]))]
CASES += [
    ("status", ["status"], {}), ("status.json", ["status", "--json"], {}),
    ("version", ["version"], {}), ("version.json", ["version", "--json"], {}),
    ("help", ["help"], {}), ("help_subscribe", ["help", "subscribe"], {}), ("help_flag", ["get", "--help"], {}),
    ("narrow", ["subscribe", "AAPL", "-n", "1"], {"COLUMNS": "50"}),
    ("narrow_get", ["get", "AAPL", "-n", "1"], {"COLUMNS": "50"}),
    ("local", ["subscribe", "AAPL", "-n", "1", "--local"], {"TZ": "EST5EDT,M3.2.0,M11.1.0"}),
    ("history", ["subscribe", "AAPL", "--history=2", "-n", "2", "-j"], {}),
    ("gaps_one", ["gaps", "BRK.B", "--json"], {}),
    ("get_one", ["get", "BRK.B", "-j", "-n", "1"], {}),
]


def steady(text):
    for pattern, word in VOLATILE:
        text = pattern.sub(word, text)
    return text


def check(bus, name, words, env):
    code, out, err = polyctl(bus, *words, env=env)
    assert code == 0 and err == "", (name, code, err)
    path = GOLDEN / name
    if os.environ.get("UPDATE"):
        path.write_text(steady(out))
    want = path.read_text()
    assert steady(out) == want, "%s differs\n--- want\n%s--- got\n%s" % (name, want, steady(out))


def golden():
    with Bus() as bus:
        fill(bus)
        for name, words, env in CASES:
            check(bus, name, words, env)


def json_reads_back():
    """Every digit survives: Python's own shortest form of the same doubles."""
    import json
    import random
    rng = random.Random(int(os.environ.get("SEED", "7")))
    values = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, 123456789.123456789, 1e15, 1e22, 2.0 ** 53, -0.1]
    values += [rng.uniform(0, 1000) for _ in range(20)]
    values += [rng.uniform(1, 10) * 10.0 ** rng.randint(-300, 300) for _ in range(20)]
    with Bus() as bus:
        bus("symbol AAPL")
        for i, v in enumerate(values):
            bus.bar("AAPL", i, c=v, indicators="%r nan inf" % v)
        code, out, _ = polyctl(bus, "get", "AAPL", "-n", "100", "--json")
        rows = [json.loads(line) for line in out.splitlines()]
        assert code == 0 and len(rows) == len(values)
        for i, (row, v) in enumerate(zip(rows, values)):
            assert row["c"] == v and row["sma_20"] == v, (row, v)
            assert row["rsi_14"] is None and row["vwap"] is None
            assert row["t"] == T0 + i * MINUTE
        for line, v in zip(out.splitlines(), values):
            digits = line.split('"c":')[1].split(",")[0]
            assert len(digits.replace("e+", "e").replace("e-0", "e-")) <= len(repr(v)) + 1, (digits, v)


if __name__ == "__main__":
    run(golden, json_reads_back)
