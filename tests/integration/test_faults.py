#!/usr/bin/python3
"""What it must withstand: a clear line for each misfortune, and it goes on or stops as documented."""
import json
import os
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from harness import BUILD, Place, Sim, check, end, main, session_start, until  # noqa: E402

START = session_start()


def connection(d):
    rows = d.status().get("connections") or [{}]
    return rows[0]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def shared_memory_too_small():
    probe = ["unshare", "--mount", "mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", "/dev/shm"]
    if subprocess.run(probe, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
        print("skip: a small /dev/shm cannot be mounted here (needs root and mount namespaces)")
        return
    with Place() as place:
        program = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=2m tmpfs /dev/shm && exec "$0" "$@"',
                   str(BUILD / "polygond")]
        d = place.daemon(program=program, tls=False)
        check(d.until_exit() == 75, "it ends with 75")
        line = d.logged()
        check("MiB" in line and "/dev/shm" in line and "bus.symbols" in line, "and says how much it takes and what to change")


def descriptors_exhausted():
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 60, "--start", START)
        seen = set()
        for limit in (9, 12, 14, 16, 18, 22):
            d = place.daemon(sim, program=["prlimit", "--nofile=%d" % limit, str(BUILD / "polygond")])
            time.sleep(1.0)
            code = d.process.poll()
            log = d.logged()
            check(code is None or (0 < code < 128 and log), "%d descriptors: code %s, no crash" % (limit, code))
            if code is not None:
                check("Too many open files" in log or "too many open files" in log.lower(), "it says why")
            seen.add(code)
            d.stop()
        check(len(seen) >= 1, "codes seen: %s" % seen)


def port_closed_then_open():
    with Place() as place:
        port = free_port()
        folder = place.folder
        first = place.sim("--seed", 7)  # makes the certificate
        first.stop()
        first.ports["https"] = str(port)
        d = place.daemon(first)
        until(lambda: connection(d).get("state") == "backoff" and connection(d).get("attempts", 0) >= 2, "it keeps trying")
        check("connect" in connection(d)["reason"].lower(), "status says why: " + connection(d)["reason"])
        sim = Sim(folder, "--tls-port", port, "--port", 0, "--seed", 7, "--speed", 60, "--start", START)
        place.parts.append(sim)
        # the new process made a new CA: a daemon reads its trust when it starts
        d.stop()
        d.start().until_live("AAPL")
        sim.stop()
        until(lambda: connection(d).get("state") == "backoff", "it notices that the exchange is gone")
        check(connection(d)["drops"] >= 1, "drops are counted")


def wrong_certificates():
    for kind in ("wrong-host", "expired", "self-signed"):
        with Place() as place:
            sim = place.sim("--seed", 7, "--cert", kind)
            d = place.daemon(sim)
            until(lambda: connection(d).get("reason"), "the connection fails")
            reason = connection(d)["reason"]
            check("cert" in reason.lower() or "ssl" in reason.lower(), "%s: %s" % (kind, reason))
            check(connection(d)["connects"] == 0, "no connection was made, no key was sent")
            d.stop()


def key_refused():
    with Place() as place:
        sim = place.sim("--seed", 7)
        d = place.daemon(sim, key="a-wrong-key")
        check(d.until_exit() == 77, "a refused key ends it with 77")
        check("a-wrong-key" not in d.logged() and "auth" in d.logged().lower(), "a line says so, without the key")
        d = place.daemon(sim, key=None)
        check(d.until_exit() == 78, "no key at all is a configuration error")
        check("POLYGON_API_KEY" in d.logged(), "that says where it may come from")


def free_plan_goes_on_over_rest():
    with Place() as place:
        sim = place.sim("--seed", 7, "--plan", "free", "--start", START)
        d = place.daemon(sim, config={"rest": {"requests_per_minute": 5}})
        until(lambda: "REST only" in d.logged(), "the plan has no WebSocket: it says so and goes on")
        check(d.process.poll() is None, "still running")
        check(connection(d)["state"] == "stopped" and "plan" in connection(d)["reason"].lower(), connection(d)["reason"])


def plug_pulled():
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 60, "--start", START)
        d = place.daemon(sim).until_live("AAPL")
        client = d.follow("subscribe", "AAPL", "--json")
        client.stdout.readline()
        for _ in range(3):
            before = connection(d)["connects"]
            sim.ask("drop")
            until(lambda: connection(d)["connects"] > before and connection(d)["state"] == "live", "reconnected")
            d.until_live("AAPL", "MSFT")
        row = json.loads(client.stdout.readline())
        check(row["symbol"] == "AAPL", "the subscriber just goes on")
        check(connection(d)["drops"] >= 3, "drops are counted")
        end(client)


def half_open():
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 60, "--start", START)
        d = place.daemon(sim, config={"stream": {"ping_interval_s": 1, "pong_timeout_s": 2, "idle_timeout_s": 3}}).until_live("AAPL")
        before = connection(d)["connects"]
        sim.ask("silence")
        until(lambda: connection(d)["drops"] >= 1, "silence is noticed")
        until(lambda: connection(d)["connects"] > before, "and a new connection made")


def key_held_by_somebody_else():
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 60, "--start", START)
        d = place.daemon(sim).until_live("AAPL")
        other = place.daemon(sim)
        until(lambda: connection(d).get("state") == "cooldown", "the older connection is evicted and cools down")
        check("key" in connection(d)["reason"], connection(d)["reason"])
        check(connection(d)["next_try"] is not None, "it says when it tries again")
        other.until_live("AAPL")


def malformed_events_are_dropped_alone():
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 1, "--start", START)
        clusters = [{"name": "stocks", "symbols": ["CHAOS"], "topics": ["trades", "bars_1m"]}]
        d = place.daemon(sim, clusters=clusters, config={"rest": {"warm": False}}).until_live("CHAOS")
        good = {"ev": "T", "sym": "CHAOS", "x": 4, "i": "1", "z": 3, "p": 10.5, "s": 100, "t": 1700000000000, "q": 1}
        bad = [dict(good, z={"odd": [1]}), dict(good, p="?"), dict(good, p=None), {"ev": "T"}, dict(good, s=-1), dict(good, t=1),
               {"ev": "ZZ", "sym": "CHAOS"}, dict(good, sym="OTHER")]
        sim.ask("emit", json.dumps([good] + bad + [dict(good, i="2", q=2)]))
        until(lambda: d.counters()["trades"] == 2, "both good ones arrive")
        c = d.counters()
        check(c["events_received"] == 10, "ten were received")
        ends = ["published", "duplicate", "malformed", "refused", "unwanted", "too_old", "counted", "unknown"]
        check(sum(c["events_" + e] for e in ends) == c["events_received"], "the account balances")
        check(c["events_unknown"] == 1 and c["events_unwanted"] == 1 and c["events_malformed"] + c["events_refused"] == 6,
              "each bad one has its reason")
        for text in ('{"not":"an array', "42", '"x"', "[", '[1,2,"x",null]', "[[]]"):
            sim.ask("emit", text)
        sim.ask("emit", json.dumps([dict(good, i="3", q=3), dict(good, i="2", q=4)]))
        until(lambda: d.counters()["trades"] == 3, "the connection is still there")
        check(d.counters()["events_duplicate"] == 1, "a trade is known by its id, not by its sequence number")
        check(connection(d)["drops"] == 0, "no drop")


def daemon_dies_under_a_subscriber():
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 60, "--start", START)
        d = place.daemon(sim).until_live("AAPL")
        goes_on = d.follow("subscribe", "AAPL", "--json")
        once = d.follow("subscribe", "AAPL", "--json", "--once")
        for c in (goes_on, once):
            c.stdout.readline()
        d.kill()
        check(once.wait(timeout=60) == 3, "--once: ends with 3")
        check("polyctl: " in goes_on.stderr.readline(), "the other says so and waits")
        d.start().until_live("AAPL")
        line = until(lambda: goes_on.stdout.readline(), "and goes on")
        check(json.loads(line)["symbol"] == "AAPL", "rows again")
        end(goes_on)
        end(once)


def stopped_and_continued():
    with Place() as place:
        sim = place.sim("--seed", 7, "--speed", 60, "--start", START)
        d = place.daemon(sim).until_live("AAPL")
        d.process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        d.process.send_signal(signal.SIGCONT)
        before = d.counters()["events_received"]
        until(lambda: d.counters()["events_received"] > before, "it goes on where it was")


def mistyped_configuration():
    with Place() as place:
        d = place.daemon(tls=False, config={"streem": {"url": "ws://localhost:1"}})
        check(d.until_exit() == 78, "an unknown key ends it with 78")
        check("streem" in d.logged() and str(d.config) in d.logged(), "named with its file: " + d.logged().strip())
        r = subprocess.run([BUILD / "polygond", "--confg"], capture_output=True, text=True)
        check(r.returncode == 2, "an unknown option ends it with 2")


main(shared_memory_too_small, descriptors_exhausted, port_closed_then_open, wrong_certificates, key_refused,
     free_plan_goes_on_over_rest, plug_pulled, half_open, key_held_by_somebody_else, malformed_events_are_dropped_alone,
     daemon_dies_under_a_subscriber, stopped_and_continued, mistyped_configuration)
