#!/usr/bin/env python3
"""polyctl subscribe while things happen: rows, deaths, returns, losses, unknown symbols; and every exit code."""
import json
import os
import signal
import subprocess
import time

from cli import Bus, Control, MINUTE, PATIENCE, POLYCTL, Running, T0, polyctl, run


def minute(line):
    return (json.loads(line)["t"] - T0) // MINUTE


def stop(pid):
    os.kill(pid, signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)


def image_then_live():
    with Bus() as bus:
        bus("symbol AAPL")
        bus("symbol MSFT")
        for i in range(3):
            bus.bar("AAPL", i)
        with Running(bus, "subscribe", "AAPL", "--json", "-n", "4") as p:
            assert minute(p.out()) == 2
            bus.bar("MSFT", 7)
            bus.bar("AAPL", 3)
            assert minute(p.out()) == 3
            bus.bar("AAPL", 3, verb="revise", index=3, c=42.5)
            row = json.loads(p.out())
            assert row["c"] == 42.5 and row["rev"] == 1 and row["t"] == T0 + 3 * MINUTE, row
            bus.bar("AAPL", 4)
            assert minute(p.out()) == 4
            assert p.end() == (0, "", "")


def dies_and_returns():
    with Bus() as bus:
        bus("symbol AAPL")
        bus.bar("AAPL", 0)
        with Running(bus, "subscribe", "AAPL", "--json", "-n", "2") as p, \
                Running(bus, "subscribe", "AAPL", "--json", "--once") as once:
            assert minute(p.out()) == 0 and minute(once.out()) == 0
            bus("drop")
            assert p.err() == "polyctl: %s: the daemon has gone; waiting for it to come back" % bus.name
            assert once.end() == (3, "", "polyctl: %s: the daemon has gone\n" % bus.name)
            assert polyctl(bus, "status")[1].splitlines()[1].startswith("state       dead")
            assert polyctl(bus, "get", "AAPL", "-n1", "-j")[0] == 0
            assert polyctl(bus, "stat")[0] == 0 and polyctl(bus, "errors")[0] == 0
            code, out, err = polyctl(bus, "subscribe", "AAPL", "-n", "1")
            assert (code, out) == (3, "") and "no daemon is running" in err
            bus("open")
            assert "the daemon is back" in p.err()
            bus.bar("AAPL", 1)
            assert minute(p.out()) == 1
            assert p.end()[0] == 0


def wedged_daemon():
    with Bus() as bus:
        bus("symbol AAPL")
        bus.bar("AAPL", 0)
        with Running(bus, "subscribe", "AAPL", "--json", "-n", "2") as p:
            p.out()
            bus("wedge")
            assert "does not respond" in p.err()
            assert "state       wedged" in polyctl(bus, "status")[1]
            bus("beat")
            assert "is back" in p.err()
            bus.bar("AAPL", 1)
            assert p.end()[0] == 0


def waits_for_a_daemon():
    with Bus() as bus:
        bus("symbol AAPL")
        bus.bar("AAPL", 0)
        bus("drop")
        code, _, err = polyctl(bus, "subscribe", "AAPL", "--wait", "--timeout", "0.3")
        assert code == 5 and "no daemon in time" in err
        with Running(bus, "subscribe", "AAPL", "--wait", "--json", "-n", "1") as p:
            assert "waiting for one" in p.err()
            bus("open")
            assert minute(p.out()) == 0
            assert p.end()[0] == 0


def replaced_segment():
    with Bus() as bus:
        bus("symbol AAPL")
        bus.bar("AAPL", 0)
        with Running(bus, "subscribe", "AAPL", "--csv", "-n", "2") as p:
            header, _ = p.out(), p.out()
            bus("succeed")
            bus.bar("AAPL", 1)
            assert p.out() == header
            assert p.out().startswith("AAPL,1m,%d," % (T0 + MINUTE))
            assert p.end()[0] == 0


def lapped():
    """A stopped reader: what it prints and what it reports lost make up exactly what was written."""
    with Bus() as bus:
        bus("symbol AAPL")
        bus("flood AAPL 0 1")
        with Running(bus, "subscribe", "AAPL", "--trades", "--json") as p:
            assert json.loads(p.out())["seq"] is None  # sequence 0 is an absent one
            stop(p.process.pid)
            bus("flood AAPL 1 5000")
            os.kill(p.process.pid, signal.SIGCONT)
            lost = int(p.err().split(": ")[3].split()[0])
            got = []
            while not got or got[-1] != 5000:
                got.append(json.loads(p.out())["seq"])
            assert got == list(range(5001 - len(got), 5001)), got[:5]
            assert lost + len(got) == 5000, (lost, len(got))
            assert lost >= 5000 - 1024


def lapped_strictly():
    with Bus() as bus:
        bus("symbol AAPL")
        bus("flood AAPL 1 1")
        with Running(bus, "subscribe", "AAPL", "--trades", "--json", "--strict") as p:
            p.out()
            stop(p.process.pid)
            bus("flood AAPL 2 5000")
            os.kill(p.process.pid, signal.SIGCONT)
            code, _, err = p.end()
            assert code == 6 and "records lost" in err, (code, err)


def asks_for_symbols():
    buses = []

    def answer(request):
        symbol = request.split()[1]
        if symbol == "NOPE":
            return "pending NOPE\nerror unknown NOPE: the vendor knows no such ticker\n"
        if symbol == "PLAN":
            return "error refused PLAN: the plan does not include it\n"
        buses[0]("symbol " + symbol)
        return "pending %s\nok %s 1\n" % (symbol, symbol)

    with Control(answer) as control, Bus(control.path) as bus:
        buses.append(bus)
        bus("symbol AAPL 4 8 8")
        assert polyctl(bus, "subscribe", "NOPE") == (4, "", "polyctl: NOPE: unknown symbol\n")
        assert control.requests == ["subscribe NOPE bars_1m"]
        assert polyctl(bus, "get", "NOPE") == (4, "", "polyctl: NOPE: unknown symbol\n")
        code, _, err = polyctl(bus, "subscribe", "PLAN", "--trades", "--cluster", "stocks")
        assert (code, err) == (1, "polyctl: PLAN: the plan does not include it\n"), (code, err)
        assert control.requests[-1] == "subscribe PLAN trades stocks"
        with Running(bus, "subscribe", "TSLA", "--bars", "1s", "--json", "-n", "1") as p:
            deadline = time.monotonic() + PATIENCE
            while "subscribe TSLA bars_1s" not in control.requests:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            bus.bar("TSLA", 0, span="1s")
            assert json.loads(p.out())["symbol"] == "TSLA"
            assert p.end()[0] == 0
        # held, but not with this topic: asked for as well
        count = len(control.requests)
        polyctl(bus, "subscribe", "AAPL", "--quotes", "--timeout", "0.2")
        assert control.requests[count:] == ["subscribe AAPL quotes"]
        polyctl(bus, "subscribe", "AAPL", "--timeout", "0.2")
        assert len(control.requests) == count + 1


def shows_pending():
    pairs = "pair stocks AAPL AM.AAPL waiting\npair stocks MSFT T.MSFT refused\nok 2\n"
    with Control(lambda request: pairs if request == "pending" else "error syntax\n") as control, \
            Bus(control.path) as bus:
        out = polyctl(bus, "status")[1]
        assert "pending     stocks AAPL AM.AAPL waiting\n            stocks MSFT T.MSFT refused\n" in out, out
        status = json.loads(polyctl(bus, "status", "--json")[1])
        assert status["pending"][1] == {"cluster": "stocks", "symbol": "MSFT", "topic": "T.MSFT", "state": "refused"}


def commands():
    answers = {"reload": "error failed bus.symbols: cannot be changed while running\n", "stop": "ok stopping\n"}
    with Control(lambda request: answers[request]) as control, Bus(control.path) as bus:
        assert polyctl(bus, "stop") == (0, "", "")
        assert polyctl(bus, "reload") == (1, "", "polyctl: reload: bus.symbols: cannot be changed while running\n")
        answers["stop"] = "error denied only root and the daemon's user\n"
        code, _, err = polyctl(bus, "stop")
        assert code == 1 and err.startswith("polyctl: stop: not permitted"), err
        assert control.requests == ["stop", "reload", "stop"]


def exit_codes():
    with Bus() as bus:
        bus("symbol AAPL")
        assert polyctl(bus, "subscribe", "AAPL", "--timeout", "0.2")[0] == 5
        bus.bar("AAPL", 0)
        assert polyctl(bus, "subscribe", "AAPL", "--timeout", "0.2")[0] == 0
        assert polyctl(bus, "subscribe", "AAPL", "--timeout", "0.2", "-n", "5")[0] == 5
        assert polyctl(bus, "subscribe", "AAPL", "-n", "0") == (0, "", "")
        for words in (["subscribe"], ["subscribe", "AAPL", "-n", "x"], ["subscribe", "AAPL", "--bogus"],
                      ["subscribe", "AAPL", "--trades", "--quotes"], ["list", "AAPL"], ["get"], ["get", "A", "-n"],
                      ["subscribe", "A", "--json=1"], ["subscribe", "A", "--timeout", "soon"], []):
            code, out, err = polyctl(bus, *words)
            assert code == 2 and out == "" and err.startswith("polyctl: ") and err.count("\n") == 1, (words, code, err)
        code, _, err = polyctl(bus, "subscribe", "AAPL", "--bars", "1h")
        assert code == 1 and err == "polyctl: bars.1h: the daemon does not publish this stream\n", (code, err)
        assert polyctl(bus, "subscrib")[2] == "polyctl: subscrib: no such verb; did you mean subscribe?\n"
        assert polyctl(bus, "lsit")[2] == "polyctl: lsit: no such verb; did you mean list?\n"
        assert polyctl(bus, "zzzzzz")[2] == "polyctl: zzzzzz: no such verb; polyctl help lists them\n"
    for verb in ("status", "stat", "list", "errors"):
        assert polyctl(None, "--instance", "no-such", verb)[0] == 3
    assert polyctl(None, "--instance", "no-such", "get", "A")[0] == 3
    assert polyctl(None, "--instance", "no-such", "subscribe", "A")[0] == 3
    assert polyctl(None, "--instance", "../x", "status")[0] == 2
    assert polyctl(None, "status", env={"POLYGOND_INSTANCE": "no-such"})[2].startswith("polyctl: no-such: ")


def closed_stdout():
    """`polyctl subscribe | head -1` ends, quietly, also while no row comes."""
    with Bus() as bus:
        bus("symbol AAPL")
        bus.bar("AAPL", 0)
        p = subprocess.Popen([POLYCTL, "--instance", bus.name, "subscribe", "AAPL"], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        assert p.stdout.readline()
        p.stdout.close()
        assert p.wait(PATIENCE) == 0
        assert p.stderr.read() == b""
        p.stderr.close()


def repeated_stat():
    with Bus() as bus:
        bus("count 5")
        code, out, _ = polyctl(bus, "stat", "-i", "0.05", "-n", "3", "--json")
        rows = [json.loads(line) for line in out.splitlines()]
        assert code == 0 and [r["events_received"] for r in rows] == [5, 5, 5]
        code, out, _ = polyctl(bus, "stat", "-i", "0.05", "-n", "2")
        assert code == 0 and "per second" in out


def completes():
    with Bus() as bus:
        bus("symbol AAPL")
        bus("symbol AMZN")
        bus("symbol MSFT")

        def words(*w):
            return polyctl(None, "complete", "--", *w)[1].split()

        assert words("s") == ["subscribe", "status", "stat", "stop"]
        assert words("help", "sub") == ["subscribe"]
        assert words("--instance", bus.name, "get", "A") == ["AAPL", "AMZN"]
        assert words("--instance", bus.name, "subscribe", "--bars", "") == ["1m", "1s"]
        assert bus.name in words("--instance", "cli")
        assert words("subscribe", "--tr") == ["--trades"]
        assert words("subscribe", "--cluster", "c") == ["crypto"]
        assert "--strict" not in words("get", "--")
        assert words("list", "") == [] and words("--instance", "no-such", "get", "") == []


if __name__ == "__main__":
    run(image_then_live, dies_and_returns, wedged_daemon, waits_for_a_daemon, replaced_segment, lapped, lapped_strictly,
        asks_for_symbols, shows_pending, commands, exit_codes, closed_stdout, repeated_stat, completes)
