#!/usr/bin/env python3
"""The Python client, which knows the bytes only from their description, against what polyctl prints of the same bus."""
import ctypes  # noqa: F401 - part of the standard library, used by the client for one system call
import json
import math
import os
import subprocess
import sys
import threading

from cli import BUILD, Bus, MINUTE, PATIENCE, ROOT, T0, polyctl, run

sys.path.insert(0, str(ROOT / "clients" / "python"))
import polygond  # noqa: E402


def same_rows():
    with Bus() as bus:
        bus("symbol AAPL")
        bus("symbol MSFT")
        for i in range(100):
            bus.bar("AAPL", i, c=100 + i / 7, indicators="%s 55.5 187.3" % ("nan" if i < 19 else repr(i / 3)))
        bus.bar("AAPL", 90, verb="revise", index=90, c=1 / 3)
        bus.bar("AAPL", 100, verb="forming")
        bus("day 1m AAPL %d 187 nan 187.5" % T0)
        bus("trade AAPL %d000000 187.235 100 77 5 4 12 37" % T0)
        bus("quote AAPL %d000000 187.23 187.24 3 nan 99" % T0)
        bus("error what went wrong")
        bus("count 12")
        p = polygond.attach(bus.name)
        bars = p.bars("1m")
        assert bars.indicators == ["sma_20", "rsi_14", "vwap"] and bars.units == ["price", "points", "price"]
        want = [json.loads(line) for line in polyctl(bus, "get", "AAPL", "-n", "1000", "--json")[1].splitlines()]
        rows = bars.rows("AAPL", 1000)
        assert len(rows) == 63 and bars.head("AAPL") == 100 and bars.first("AAPL") == 37
        for mine, his in zip(rows, want):
            for key, value in his.items():
                if key != "rev":
                    assert mine[key] == value, (key, mine, his)
        columns = bars.columns("AAPL", 10)
        assert list(columns["c"]) == [r["c"] for r in rows[-10:]]
        assert list(columns["sma_20"]) == [r["sma_20"] for r in rows[-10:]]
        assert math.isnan(bars.columns("AAPL", 100)["sma_20"][0]) is False
        assert bars.forming("AAPL")["t"] == T0 + 100 * MINUTE and bars.forming("MSFT") is None
        assert bars.day("AAPL") == {"t": T0, "op": 187.0, "av": None, "a": 187.5} and bars.day("MSFT") is None
        trade, quote = p.trades().latest("AAPL"), p.quotes().latest("AAPL")
        assert trade["price"] == 187.235 and trade["cond"] == (13, 38, 0, 0) and trade["symbol"] == "AAPL", trade
        assert quote["bid"] == 187.23 and quote["ask_size"] is None, quote
        assert p.trades().latest("MSFT") is None and p.trades().latest("NOPE") is None
        assert list(p.symbols()) == ["AAPL", "MSFT"] and p.symbols()["AAPL"]["wanted"] == 15
        assert p.find("MSFT") == 1 and p.find("NOPE") is None
        assert p.counters()["events_received"] == 12
        assert p.errors()[0]["text"] == "what went wrong"
        assert p.gaps() == []
        bus("gap 3 2 0 1 %d 0 2 1 0 0 0" % T0)
        bus("gap 0 1 1 8 %d %d 1 4 3 2 5" % (T0, T0 + MINUTE))
        gaps = p.gaps()
        assert [(g["id"], g["symbol"], g["why"], g["state"], g["reason"]) for g in gaps] == [
            (1, "MSFT", "connection", "unfillable", "too long"), (2, "AAPL", "silence", "open", None)], gaps
        assert gaps[0]["to_ns"] == (T0 + MINUTE) * 10**6 and gaps[1]["to_ns"] is None and gaps[0]["filled"] == 5
        assert p.gaps("AAPL") == gaps[1:]
        status = p.status()
        assert status["alive"] and status["run_state"] == "running" and status["engine"] == "cpu: for the test", status
        assert status["segments"] == ["bars.1m", "bars.1s", "trades", "quotes"] and status["heartbeat_age_s"] < 60
        assert status["pid"] == bus.process.pid
        p.close()


def follows_rows():
    with Bus() as bus:
        bus("symbol AAPL")
        bus("symbol MSFT")
        bus.bar("AAPL", 0)
        p = polygond.attach(bus.name)
        events = p.subscribe("bars.1m", ["AAPL"], timeout=PATIENCE)
        assert next(events)["t"] == T0
        bus.bar("MSFT", 5)
        waits, wait = [], polygond._futex_wait
        polygond._futex_wait = lambda *a: (waits.append(a), wait(*a))
        threading.Timer(0.2, lambda: bus.bar("AAPL", 1)).start()
        assert next(events)["t"] == T0 + MINUTE
        polygond._futex_wait = wait
        assert 1 <= len(waits) <= PATIENCE, len(waits)  # asleep in the kernel but for a look at the daemon each second
        bus.bar("AAPL", 1, verb="revise", index=1, c=42.0)
        row = next(events)
        assert row["c"] == 42.0 and row["rev"] == 4, row
        assert list(p.subscribe("bars.1m", ["AAPL"], history=0, timeout=0.1)) == []


def follows_a_restart():
    with Bus() as bus:
        bus("symbol AAPL")
        bus.bar("AAPL", 0)
        p = polygond.attach(bus.name)
        events = p.subscribe("bars.1m", ["AAPL"], timeout=PATIENCE)
        next(events)
        bus("drop")
        assert next(events) is None and not p.alive()
        bus("open")
        bus.bar("AAPL", 1)
        row = next(e for e in events if e is not None)
        assert row["t"] == T0 + MINUTE
        bus("succeed")
        bus.bar("AAPL", 2)
        row = next(e for e in events if e is not None)
        assert row["t"] == T0 + 2 * MINUTE and p.bars("1m").capacity == 128


def counts_losses():
    with Bus() as bus:
        bus("symbol AAPL")
        p = polygond.attach(bus.name)
        reader = p.trades().reader()
        written = got = expected = 0
        for batch in (10, 500, 1024, 3000, 64, 5000, 1):
            bus("flood AAPL %d %d" % (written, batch))
            written += batch
            while (data := reader.get()) is not None:
                if isinstance(data, polygond.Lost):
                    expected += data.count
                    continue
                assert p.trades().event(data)["seq"] == expected
                expected += 1
                got += 1
            assert got + reader.lost == written == expected
        assert reader.lost > 0


def never_torn():
    """While a writer laps it again and again: records are whole, in order, and loss plus delivery is what was written."""
    with Bus() as bus:
        bus("symbol AAPL")
        p = polygond.attach(bus.name)
        reader, trades = p.trades().reader(), p.trades()
        total, batch = 400000, 20000
        done = threading.Event()

        def write():
            for first in range(0, total, batch):
                bus("flood AAPL %d %d" % (first, batch))
            done.set()

        threading.Thread(target=write).start()
        got, seq = 0, -1
        while True:
            finished = done.is_set()
            data = reader.get()
            if data is None:
                if finished:
                    break
                continue
            if isinstance(data, polygond.Lost):
                continue
            record = trades.decode(data)
            assert record["t"] == 1700000000000000000 + record["seq"] % batch and record["seq"] > seq
            seq = record["seq"]
            got += 1
        assert got + reader.lost == total and seq == total - 1 and got > 0


def refuses_what_is_damaged():
    with Bus() as bus:
        path = "/dev/shm/polygond.%s." % bus.name
        for at, value in ((0, b"\0" * 8), (8, b"\x09"), (12, b"\x03"), (48, b"\xff\xff\xff\x7f"), (56, b"\xff\xff\xff\x7f")):
            with open(path + "bars.1m", "rb") as f:
                data = bytearray(f.read())
            data[at:at + len(value)] = value
            with open(path + "bars.9m", "wb") as f:
                f.write(data)
            try:
                polygond.attach(bus.name).bars("9m")
                raise AssertionError("taken: %d" % at)
            except polygond.Error:
                pass
            finally:
                os.unlink(path + "bars.9m")
        try:
            polygond.attach("no-such")
            raise AssertionError
        except polygond.NotThere:
            pass


def examples_work():
    with Bus() as bus:
        bus("symbol AAPL")
        bus.bar("AAPL", 0)
        p = subprocess.Popen([sys.executable, str(ROOT / "clients/examples/follow.py"), "AAPL", bus.name],
                             stdout=subprocess.PIPE, text=True)
        assert p.stdout.readline() == "%d 188.125 187.1\n" % T0
        p.terminate()
        p.communicate()
        program = os.path.join("/tmp", bus.name)
        built = subprocess.run(["gcc", "-std=c17", "-Wall", "-Wextra", "-Werror", "-I", str(ROOT / "clients/include"), "-I",
                                str(ROOT / "shm/include"), str(ROOT / "clients/examples/follow.c"),
                                str(BUILD / "libpolygond.so.1"), "-Wl,-rpath," + str(BUILD), "-o", program],
                               capture_output=True, text=True)
        assert built.returncode == 0, built.stderr
        p = subprocess.Popen([program, "AAPL", bus.name], stdout=subprocess.PIPE, text=True)
        assert p.stdout.readline() == "AAPL %d c=188.125 sma_20=187.1 rsi_14=55.5 vwap=187.3\n" % T0
        p.terminate()
        p.communicate()
        os.unlink(program)


if __name__ == "__main__":
    run(same_rows, follows_rows, follows_a_restart, counts_losses, never_torn, refuses_what_is_damaged, examples_work)
