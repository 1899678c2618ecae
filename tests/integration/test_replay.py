#!/usr/bin/python3
"""The journal served again: the same rows, records and indicators, bit for bit."""
import glob
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "../../clients/python"))
import polygond  # noqa: E402
from harness import BUILD, KEY, Place, check, main, session_start, until  # noqa: E402

START = session_start()
TOPICS = ["trades", "quotes", "bars_1s", "bars_1m"]
SYMBOLS = ["AAPL", "MSFT", "SPY", "NVDA", "BRK.A"]
ACCOUNT = ["events_received", "events_published", "events_duplicate", "events_malformed", "events_refused", "events_unwanted",
           "events_too_old", "events_counted", "events_unknown", "trades", "quotes", "bars_revised", "bars_inserted",
           "ws_messages", "ws_bytes", "ws_bad_messages", "ws_status"]
SIDES = ("board", "bars.1m", "bars.1s", "trades", "quotes")


def snapshot(instance):
    """All that is published but for what says when and by whom: {what: bytes}."""
    out = {}
    bus = polygond.attach(instance)
    names = [bus.name(i) for i in range(bus.symbol_count())]
    out["symbols"] = names
    for timespan in ("1m", "1s"):
        bars = bus.bars(timespan)
        for name in names:
            index = bus.find(name)
            out[timespan, name, "rows"] = [(i, bars.raw(index, i)) for i in range(bars.first(index), bars.head(index))]
            out[timespan, name, "forming"] = bars.forming(name)
            out[timespan, name, "day"] = bars.day(name)
    for tape in (bus.trades(), bus.quotes()):
        reader = tape.reader(oldest=True)
        records = []
        while (data := reader.get()) is not None:
            records.append(data)
        out[tape.name] = records
    out["counters"] = {name: bus.counters()[name] for name in ACCOUNT}
    bus.close()
    return out


def tape(instance):
    bus = polygond.attach(instance)
    try:
        reader, records = bus.trades().reader(oldest=True), []
        while isinstance(data := reader.get(), bytes):
            records.append(data)
        return records
    finally:
        bus.close()


def same(a, b):
    """Differences, in words; floats that are NaN in both are the same since rows are bytes."""
    out = []
    for key in sorted(a.keys() | b.keys(), key=str):
        x, y = a.get(key), b.get(key)
        if repr(x) != repr(y):
            where = [(i, p, q) for i, (p, q) in enumerate(zip(x, y)) if p != q][:2] if isinstance(x, list) and y else (x, y)
            out.append("%s differs: %d and %d, first at %s" % (key, len(x or ()), len(y or ()), where))
    return out


def replay(instance, *args, code=0):
    r = subprocess.run([BUILD / "polygond", "--replay", "--instance", instance, "--speed", "max", *map(str, args)],
                       stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    if r.returncode != code:
        raise AssertionError("replay ended with %d: %s" % (r.returncode, r.stderr))
    return r


def journalled(place, sim, journal, **more):
    config = {"journal": {"enabled": True, "directory": str(journal), "flush_ms": 20, **more},
              "bus": {"trades": 65536, "quotes": 65536}, "log": {"level": "warning"}}
    return place.daemon(sim, config=config, clusters=[{"name": "stocks", "symbols": SYMBOLS, "topics": TOPICS}])


def remove(instance):
    for path in glob.glob("/dev/shm/polygond.%s.*" % instance):
        os.unlink(path)


def bit_for_bit():
    again = "rp%d" % os.getpid()
    with Place() as place:
        journal = place.folder / "journal"
        sim = place.sim("--seed", 11, "--speed", 120, "--start", START, *(x for s in ("revise", "malformed", "duplicates", "out-of-order", "flaky") for x in ("--scenario", s)))
        d = journalled(place, sim, journal, file_mib=1).until_live("AAPL", "MSFT")
        d.ctl("subscribe", "TSLA", "--json", "-n", 1, "--timeout", 30)  # one that comes later
        until(lambda: d.counters().get("bars_appended", 0) > 2500 and d.counters().get("journal_files", 0) >= 2,
              "enough to record")
        before = d.counters()
        check(d.stop() == 0, "the daemon ends")
        check(before["journal_lost"] == 0 and before["journal_faults"] == 0, "nothing was left out of the journal")
        files = sorted(journal.glob("*.pgj"))
        check(len(files) >= 2, "the journal was rotated: %d files" % len(files))
        check(all(KEY.encode() not in f.read_bytes() for f in files), "the key is in none of them")
        r = subprocess.run([BUILD / "polygond", "--journal-check", journal], capture_output=True, text=True, timeout=60)
        check(r.returncode == 0 and r.stdout.count("whole") == len(files) and not r.stderr, "all of them are whole: " + r.stderr)
        try:
            truth = snapshot(d.instance)
            rows = sum(len(v) for k, v in truth.items() if k[-1] == "rows")
            check(rows > 2500 and len(truth["trades"]) > 200 and len(truth["quotes"]) > 200,
                  "recorded: %d rows, %d trades, %d quotes" % (rows, len(truth["trades"]), len(truth["quotes"])))
            check(all(raw[1] is not None for k, v in truth.items() if k[-1] == "rows" for _, raw in v), "each row has indicators")
            for name, arguments in (("folder", [journal]), ("files", files), ("again", [journal])):
                replay(again, *arguments)
                check(not same(truth, snapshot(again)), "%s: the same rows, records, indicators and account, bit for bit: %s"
                      % (name, same(truth, snapshot(again))))
        finally:
            remove(again)


def seeks_and_paces():
    again = "rp%d" % os.getpid()
    with Place() as place:
        journal = place.folder / "journal"
        sim = place.sim("--seed", 12, "--speed", 60, "--start", START)
        d = journalled(place, sim, journal).until_live("AAPL")
        until(lambda: d.counters().get("trades", 0) > 100, "some trades")
        half = time.time_ns()
        first = d.counters()["trades"]
        until(lambda: d.counters().get("trades", 0) > first + 200, "more trades")
        d.stop()
        try:
            truth = snapshot(d.instance)["trades"]
            replay(again, journal, "--from", half)
            late = snapshot(again)["trades"]
            check(0 < len(late) < len(truth) - first // 2, "--from serves only what is later: %d of %d" % (len(late), len(truth)))
            check([t[8:] for t in late] == [t[8:] for t in truth[-len(late):]], "and that as it was")
            replay(again, journal, "--to", half)
            early = snapshot(again)["trades"]
            check(early == truth[:len(early)] and len(early) + len(late) == len(truth), "--to serves what --from leaves out")
            replay(again, journal, "--from", half, "--warm")
            check(snapshot(again)["trades"] == truth, "--warm serves what is before as well")
            remove(again)  # what is seen from here on is the next one's
            p = subprocess.Popen([BUILD / "polygond", "--replay", journal, "--instance", again, "--speed", "4", "--stay"],
                                 stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            try:
                def listed():
                    r = subprocess.run([BUILD / "polyctl", "--instance", again, "get", "AAPL"], capture_output=True, text=True)
                    return r.returncode == 0 and r.stdout
                until(listed, "a replay at a pace serves clients")
                until(lambda: tape(again) == truth, "and comes to the same end")
                check(p.poll() is None, "--stay goes on serving")
            finally:
                p.terminate()
                log = p.communicate(timeout=30)[1]
            check(p.returncode == 0, "until it is stopped: %s %s" % (p.returncode, log))
        finally:
            remove(again)


def killed_and_damaged():
    again = "rp%d" % os.getpid()
    with Place() as place:
        journal = place.folder / "journal"
        sim = place.sim("--seed", 13, "--speed", 60, "--start", START)
        d = journalled(place, sim, journal).until_live("AAPL")
        until(lambda: d.counters().get("trades", 0) > 200, "some trades")
        d.kill()
        try:
            first = snapshot(d.instance)["trades"]
            replay(again, journal)
            told = snapshot(again)["trades"]
            check(0 < len(told) <= len(first) and told == first[:len(told)],
                  "after kill -9 all but the last moment is there: %d of %d" % (len(told), len(first)))
            file = sorted(journal.glob("*.pgj"))[-1]
            os.truncate(file, file.stat().st_size - 7)
            d.start().until_live("AAPL")
            until(lambda: d.counters().get("journal_cut", 0) > 0, "a torn tail is cut and counted")
            until(lambda: d.counters().get("trades", 0) > 200, "some trades of a second run")
            d.stop()
            r = subprocess.run([BUILD / "polygond", "--journal-check", journal], capture_output=True, text=True, timeout=60)
            check(r.returncode == 0, "two runs in one folder, both whole: " + r.stderr)
            replay(again, journal)
            check(len(snapshot(again)["trades"]) > len(told), "and replayed one after the other")
            data = bytearray(file.read_bytes())
            data[len(data) // 2] ^= 0x10
            file.write_bytes(data)
            r = subprocess.run([BUILD / "polygond", "--journal-check", file], capture_output=True, text=True, timeout=60)
            check(r.returncode == 1 and "DAMAGED" in r.stdout and "%s: at byte " % file in r.stderr,
                  "damage is named with file and place: " + r.stderr)
            r = replay(again, file, code=1)
            check("%s: at byte " % file in r.stderr, "by the replay as well, which goes on behind it")
            r = subprocess.run([BUILD / "polygond", "--replay", d.config], capture_output=True, text=True)
            check(r.returncode == 78 and "%s: at byte 0: this is no journal" % d.config in r.stderr, "what is no journal is refused: " + r.stderr)
            r = subprocess.run([BUILD / "polygond", "--replay", file, "--speed", "fast"], capture_output=True, text=True)
            check(r.returncode == 2 and "speed" in r.stderr, "a speed that is none is refused: " + r.stderr)
        finally:
            remove(again)


def kept_and_removed():
    """Files go as journal.keep_mib says, and each that is left can be served alone."""
    again = "rp%d" % os.getpid()
    with Place() as place:
        journal = place.folder / "journal"
        sim = place.sim("--seed", 14, "--speed", 1, "--start", START)
        d = journalled(place, sim, journal, file_mib=1, keep_mib=3, rotate_s=1).until_live("AAPL", "MSFT")
        for i in range(6):
            before = d.counters()["trades"]
            sim.ask("burst", topic="T", events=8000, per_message=50, symbols=5)
            until(lambda: d.counters()["trades"] >= before + 8000, "burst %d" % i)
            total = sum(f.stat().st_size for f in journal.glob("*.pgj"))
            check(total <= 3 << 20, "never more than keep_mib: %d bytes" % total)
        names = sorted(f.name for f in journal.glob("*.pgj"))
        until(lambda: sorted(f.name for f in journal.glob("*.pgj"))[-1] > names[-1], "a file is closed for its age as well")
        until(lambda: d.counters()["journal_removed"] >= 3, "files are removed, and counted")
        check(d.counters()["journal_lost"] == 0, "and no record is lost")
        d.stop()
        files = sorted(journal.glob("*.pgj"))
        check(int(files[-1].stem.rsplit("-", 1)[1]) >= len(files) + 3, "numbers go on: %s" % files[-1].name)
        try:
            for file in files:
                replay(again, file)
            check(polygond_symbols(again) >= {"AAPL", "MSFT"}, "each begins with the symbols")
            replay(again, journal)
            check(len(snapshot(again)["trades"]) > 0, "and all of them in their order")
        finally:
            remove(again)


def polygond_symbols(instance):
    bus = polygond.attach(instance)
    try:
        return {bus.name(i) for i in range(bus.symbol_count())}
    finally:
        bus.close()


def mistakes():
    """What a user may get wrong: said in one line, with the exit code for it, and nothing is served."""
    again = "rp%d" % os.getpid()
    with Place() as place:
        journal = place.folder / "journal"
        sim = place.sim("--seed", 15, "--speed", 60, "--start", START)
        d = journalled(place, sim, journal, file_mib=1).until_live("AAPL")
        until(lambda: d.counters().get("trades", 0) > 50, "some trades")
        d.stop()
        file = sorted(journal.glob("*.pgj"))[0]
        empty, text, unreadable = place.folder / "empty", place.folder / "text.pgj", place.folder / "x.yaml"
        empty.mkdir()
        text.write_text("hello\n" * 100)
        unreadable.write_text("buss: 1\n")
        damaged = place.folder / "damaged.pgj"
        data = bytearray(file.read_bytes())
        data[200] ^= 1
        damaged.write_bytes(data)
        max_ = ("--speed", "max", "--instance", again)
        for code, words, arguments in (
                (2, "takes files or folders", ("--replay",)),
                (78, "No such file", ("--replay", place.folder / "nowhere")),
                (78, "no .pgj file", ("--replay", empty)),
                (78, "this is no journal", ("--replay", text)),
                (78, "give it once", ("--replay", file, journal)),
                (78, "use --config", ("--replay", damaged)),
                (78, "unknown key", ("--replay", journal, "--config", unreadable)),
                (2, "is no speed", ("--replay", journal, "--speed", "0")),
                (2, "is no speed", ("--replay", journal, "--speed", "-1")),
                (2, "is no time", ("--replay", journal, "--from", "yesterday")),
                (2, "--to is before --from", ("--replay", journal, "--from", "2026-11-25", "--to", "2026-11-24")),
                (2, "is no name", ("--replay", journal, "--instance", "a/b")),
                (2, "--speed is for --replay", ("--speed", "max")),
                (2, "--stay is for --replay", ("--config", d.config, "--stay"))):
            r = subprocess.run([BUILD / "polygond", *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                               timeout=60)
            check(r.returncode == code and words in r.stderr and len(r.stderr.splitlines()) == 1,
                  "%s: %d, %s" % (" ".join(os.path.basename(str(a)) for a in arguments), r.returncode, r.stderr.strip()))
        try:
            r = replay(again, journal, "--from", "2100-01-01")
            check("has none between --from and --to" in r.stderr, "a time at which there was nothing is said, and no damage")
            r = replay(again, damaged, "--config", d.config, code=1)
            check("at byte " in r.stderr, "damage behind the header is told by the replay")
            small = place.folder / "small.yaml"
            small.write_text("instance: small\nbus:\n  symbols: 2\n  bars: [{timespan: 1m, rows: 1000}]\n")
            r = replay(again, journal, "--config", small, code=1)
            check("bus.symbols" in r.stderr, "a configuration with too little room is named")
            r = subprocess.run([BUILD / "polygond", "--replay", journal, "--config", small, *max_[:2]], stdin=subprocess.DEVNULL,
                               capture_output=True, text=True, timeout=60)
            check("instance small-replay" in r.stderr, "no configuration makes a replay of the live instance")
            remove("small-replay")
        finally:
            remove(again)


if __name__ == "__main__":
    main(bit_for_bit, seeks_and_paces, killed_and_damaged, kept_and_removed, mistakes)
