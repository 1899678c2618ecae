#!/usr/bin/python3
"""What read_segments.py, made from docs/abi.md alone, reads is what helper_writer wrote. BUILD: where the programs are."""
import json
import math
import os
import pathlib
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build" / "release")).resolve()
WRITER = BUILD / "tests" / "abi" / "helper_writer"
INSTANCE = "abi%d" % os.getpid()
PATIENCE = 30.0  # seconds for what must come
NAMES = ["AAPL", "MSFT", "X:BTC-USD", "I:SPX", "BRK.A", "O:SPY251219C00650000"]
T0, MINUTE, NS = 1700000040000, 60000, 1700000000000000000

sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))
import read_segments as rs  # noqa: E402

failed = 0


def same(a, b):
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return a == b or isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b)


def check(what, got, wanted=True):
    global failed
    good = same(got, wanted)
    failed += not good
    print("ok   " + what if good else "FAIL %s: %r, not %r" % (what, got, wanted))


def every(what, pairs):
    """Checks a list of (got, wanted) as one: the first that differs is shown."""
    pairs = list(pairs)
    bad = [p for p in pairs if not same(*p)] or [(len(pairs) > 0, True)]
    check("%s (%d)" % (what, len(pairs)), *bad[0])


class Writer:
    def __enter__(self):
        self.process = subprocess.Popen([WRITER, INSTANCE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answer()
        return self

    def answer(self):
        line = self.process.stdout.readline()
        assert line == "ok\n", "the writer said %r" % line

    def __call__(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        self.answer()

    def __exit__(self, *_):
        self.process.stdin.close()  # its end: it removes the segments
        self.process.wait(PATIENCE)


# What helper_writer.c writes, once more.

def bar(symbol, i, **other):
    base = 100.0 * (symbol + 1) + i
    return dict({"t": T0 + MINUTE * i, "o": base, "h": base + 0.5, "l": base - 0.25, "c": base + 0.125, "v": 1000.5 * i,
                 "vw": math.nan if i % 4 == 0 else base + 0.0625, "rev": 2, "flags": 1 if i < 10 else 0,
                 "n": 0xFFFFFFFF if i % 5 == 0 else i}, **other)


def row(symbol, i):
    c = bar(symbol, i)["c"]
    units = {"sma_20": math.nan if i < 17 else c - 1, "rsi_14": 50.0 + i, "vwap": -c}
    if symbol == 0 and i == 17:
        return bar(0, 17, c=7.0, flags=2, rev=4, row=17, indicators={"sma_20": 1.0, "rsi_14": 2.0, "vwap": 3.0})
    if symbol == 0 and i == 18:
        return bar(0, 18, c=8.0, rev=4, row=18, indicators=None)
    return bar(symbol, i, row=i, indicators=None if symbol == 0 and i == 19 else units)


def trade(i):
    return {"commit": i + 1, "symbol": i % 2, "exchange": 300 + i % 7, "trf": 202, "flags": 7, "t": NS + i, "price": 10 + i / 8,
            "size": math.nan if i % 3 == 0 else i / 2, "seq": 2**40 | i, "id": 0xF000000000000000 + i, "cond": (1, 13, 0, i % 100),
            "record": i}


def quote(i):
    return {"commit": i + 1, "symbol": 1, "bid_exchange": 11, "ask_exchange": 12 + i, "t": NS + i,
            "bid": math.nan if i == 2 else 10.25, "ask": 10.5 + i, "bid_size": 3.0, "ask_size": 4.5, "seq": 0xFFFFFFFF - i,
            "cond": 2, "flags": 0x23, "record": i}


def change(i):
    return {"commit": i + 1, "symbol": i % 2, "flags": 2 if i % 2 else 1, "first": i, "bars": 1, "rows": 1 + i % 3, "t_ns": 1000 + i,
            "record": i}


def but(record, *names):
    return {k: v for k, v in record.items() if k not in names}


def drain(tape):
    """(records, losses) up to the end."""
    records, losses = [], []
    while True:
        got = tape.get()
        if got is None:
            return records, losses
        (losses if isinstance(got, int) else records).append(got)


def test_board(write):
    board = rs.Board(INSTANCE)
    run = board.run()
    check("run", but(run, "epoch", "started_ns", "heartbeat_ns"), {
        "control": "/none", "version": "0.1.0", "pid": write.process.pid, "run_state": 2, "engine": "cpu: for the test"})
    check("started", abs(time.time() - run["started_ns"] / 1e9) < 600)
    check("heartbeat", 0 <= board.heartbeat_age() < 600)
    check("alive", board.alive())
    check("symbols", board.symbol_count(), len(NAMES))
    every("found by hash", [(board.find(name), i) for i, name in enumerate(NAMES)])
    every("not found", [(board.find(name), None) for name in ["", "AAP", "AAPLX", "ZZZ", "a" * 48, "QQQ", "TSLA"]])
    check("a symbol's row", board.symbol(2), {
        "name": "X:BTC-USD", "cluster": 3, "asked": 0, "state": 3, "warm": 1, "wanted": 15, "acked": 1, "last_ns": NS + 7, "events": 8,
        "refused": 9})
    check("counter", board.counters()["events_received"], 41)
    check("errors", [(e["count"], e["where"], e["text"], e["first_ns"] <= e["last_ns"]) for e in board.errors()],
          [(2, "stream", "first", True), (1, "rest", "second", True)])
    check("connection", board.conn(3), {
        "cluster": 3, "state": 6, "since_ns": 1, "next_try_ns": 2, "last_frame_ns": 3, "connects": 4, "drops": 5, "unacked": 6,
        "attempts": 7, "url": "wss://host/crypto", "reason": "closed"})
    check("gaps", board.gaps(), [
        {"id": 1, "symbol": 1, "topic": 8, "from_ns": NS, "to_ns": NS + 60, "why": 1, "state": 3, "reason": 0, "tries": 2,
         "opened_ns": 11, "changed_ns": 12, "received": 13, "filled": 14},
        {"id": 2, "symbol": 2, "topic": 1, "from_ns": NS + 5, "to_ns": 2**63 - 1, "why": 2, "state": 1, "reason": 0, "tries": 0,
         "opened_ns": 21, "changed_ns": 21, "received": 0, "filled": 0}])
    check("segments", {n: (e["kind"], e["size"]) for n, e in board.segments().items()}, {
        n: (k, os.stat("/dev/shm/polygond.%s.%s" % (INSTANCE, n)).st_size)
        for n, k in (("bars.1m", 2), ("bars.1s", 2), ("trades", 3), ("quotes", 3))})
    return board


def test_bars(write, board):
    bars = rs.Bars(INSTANCE, "1m")
    check("directory", bars.segment.directory, board.segment.directory)
    check("geometry", (bars.timespan, bars.span_ms, bars.series_max, bars.capacity), ("1m", MINUTE, 8, 16))
    check("columns", bars.indicators(), ["sma_20", "rsi_14", "vwap"])
    check("depth", (bars.first(0), bars.head(0), bars.first(1), bars.head(1)), (5, 20, 0, 3))
    every("rows", [(bars.row(0, i), row(0, i)) for i in range(5, 20)] + [(bars.row(1, i), row(1, i)) for i in range(3)])
    every("rows that are not there", [(bars.row(0, i), None) for i in (0, 4, 20, 2**40)])
    check("series", bars.status(0), {"head": 20, "session": 0, "in_use": 1, "computed": 19, "recompute": 0})
    check("forming", bars.forming(0), bar(0, 20, flags=4))
    check("no forming", bars.forming(1), None)
    check("day", bars.day(0), {"seq": 2, "t": T0 + 20 * MINUTE, "op": 99.5, "av": 123456.5, "a": math.nan})
    check("no day", bars.day(1), None)
    write("tear")
    check("a row half revised", bars.row(0, 15), None)
    write("mend")
    check("and mended", bars.row(0, 15), row(0, 15))
    every("change log", zip(drain(bars.log(oldest=True))[0], map(change, range(5))))
    log = bars.log(oldest=True)
    write("changes 300")
    records, losses = drain(log)
    check("log: lost and read", (log.lost, sum(losses), len(records), log.next), (192, 192, 113, 305))
    every("log: records behind the gap", [(r, change(192 + i)) for i, r in enumerate(records)])


def test_tapes(write):
    trades = rs.open_tape(INSTANCE, "trades", oldest=True)
    # reserve is 640 after 600 records; the next reservation leaves those from 704 - 256 on.
    records, losses = drain(trades)
    check("trades: from the oldest", (losses, trades.next, len(records)), ([], 600, 152))
    every("trades", [(r, trade(448 + i)) for i, r in enumerate(records)])
    every("latest trades", [(but(trades.latest(s), "commit"), but(trade(598 + s), "commit", "record")) for s in (0, 1)])
    every("no latest trade", [(trades.latest(s), None) for s in (2, 7, 8, 2**31)])
    check("from the head", drain(rs.open_tape(INSTANCE, "trades")), ([], []))
    # Record 456 is overwritten by record 712, but reserved for that from record 704 on.
    late = rs.open_tape(INSTANCE, "trades", oldest=True)
    every("a reader that is late", [(late.get(), trade(448 + i)) for i in range(8)])
    write("trades 105")
    check("a record that may be overwritten is lost", (late.get(), late.lost, late.get()), (184, 184, trade(640)))
    write("trades 895")
    records, losses = drain(trades)
    check("lapped: every record is read or counted", len(records) + trades.lost, 1000)
    # reserve is 1600: goes on at 1600 - 128.
    check("lapped: lost and next", (losses, trades.lost, trades.next), ([872], 872, 1600))
    every("trades behind the gap", [(r, trade(1472 + i)) for i, r in enumerate(records)])
    quotes = rs.open_tape(INSTANCE, "quotes", oldest=True)
    every("quotes", zip(drain(quotes)[0], map(quote, range(3))))
    check("latest quote", but(quotes.latest(1), "commit"), but(quote(2), "commit", "record"))
    return trades


def test_wait(write, trades):
    seen = trades.notify()
    begin = time.monotonic()
    trades.wait(seen, 0.05)
    check("a wait ends in time", time.monotonic() - begin < PATIENCE)
    trades.wait(seen + 1 & 0xFFFFFFFF, 3600)
    check("a word that has changed is not waited for", True)
    timer = threading.Timer(0.2, write, ["trades 1"])
    timer.start()
    begin = time.monotonic()
    while trades.notify() == seen and time.monotonic() - begin < PATIENCE:
        trades.wait(seen, PATIENCE)
    woken = time.monotonic() - begin
    timer.join()
    check("woken by the writer", woken < PATIENCE and trades.get() == trade(1600) and trades.notify() == seen + 1)


def test_program():
    out = subprocess.run([HERE / "read_segments.py", INSTANCE, "AAPL"], check=True, capture_output=True, text=True).stdout
    lines = [json.loads(line) for line in out.splitlines()]
    rows = [line["row"]["c"] for line in lines if line.get("segment") == "bars.1m" and "row" in line]
    check("as a program", rows, [115.125, 116.125, 7.0, 8.0, 119.125])


def test_restarts(write, board, trades):
    epoch = board.segment.epoch()
    bars = rs.Bars(INSTANCE, "1m")
    write("strike")
    every("struck records", [(bars.day(0), None), (bars.forming(0), None), (trades.latest(1), None), (len(board.errors()), 1)])
    write("restart")
    check("adopted: epoch", (board.segment.epoch(), bars.segment.epoch(), bars.segment.stale()), (epoch + 1, epoch + 1, False))
    check("adopted: rows stay, forming goes", (bars.row(0, 17) == row(0, 17), bars.forming(0)), (True, None))
    every("adopted: struck records are cleared", [(bars.day(0), None), (trades.latest(1), None), (len(board.errors()), 1)])
    check("adopted: the others stay", (trades.latest(0)["seq"], board.errors()[0]["text"]), (2**40 | 1600, "second"))
    check("adopted: counters restart", board.counters()["events_received"], 0)
    write("trades 2")
    every("adopted: the tape goes on", [(trades.get(), trade(i)) for i in (1601, 1602)])
    write("succeed")
    check("succeeded: the old bars are stale", (bars.segment.stale(), board.segment.stale()), (True, False))
    new = rs.Bars(INSTANCE, "1m")
    check("succeeded: the new ones", (new.capacity, new.head(0), new.segment.epoch()), (32, 0, epoch + 2))
    write("drop")
    check("not alive", board.alive(), False)


def test_absent():
    for name, wanted in (("nothing", FileNotFoundError), ("zero", rs.NotReady), ("short", rs.Damaged), ("blank", rs.NotReady),
                         ("junk", rs.Damaged)):
        path = "/dev/shm/polygond.%s.%s" % (INSTANCE, name)
        content = {"zero": b"", "short": b"x" * 100, "blank": bytes(4096), "junk": b"x" * 4096}.get(name)
        try:
            if content is not None:
                with open(path, "wb") as f:
                    f.write(content)
            rs.Segment(INSTANCE, name, rs.BOARD)
            check("attach: " + name, "attached", wanted.__name__)
        except (OSError, rs.NotReady, rs.Damaged) as e:
            check("attach: " + name, type(e).__name__, wanted.__name__)
        finally:
            if content is not None:
                os.unlink(path)


def main():
    if not WRITER.exists():
        print("skipped: not built: %s" % WRITER)
        return 77
    with Writer() as write:
        board = test_board(write)
        test_bars(write, board)
        trades = test_tapes(write)
        test_wait(write, trades)
        test_program()
        test_restarts(write, board, trades)
        test_absent()
    check("nothing left", [n for n in os.listdir("/dev/shm") if n.startswith("polygond.%s." % INSTANCE)], [])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
