#!/usr/bin/python3
"""REST at its worst while a hole is being filled: 429 storms, pages that shrink, repeat or lie, bodies that are broken, false or
endless, rows out of order, twice or stale, and kill -9 in the midst of it. After each, what is published equals the exchange's own
truth, every hole is closed, and the account balances."""
import concurrent.futures
import os
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from gaps_oracle import SYMBOLS, begin, check_account, check_all, flows, gaps, until_closed  # noqa: E402
from harness import Place, check, main, until  # noqa: E402

MIB = 1 << 20


def hole(sim, d, rules):
    """Breaks the stream for a moment; REST follows `rules` meanwhile."""
    sim.ask("scenario", "upgrade x8: status 502 html\n" + "".join(r + "\n" for r in rules))
    before = len(gaps(d) or [])
    sim.ask("drop")
    until(lambda: len(gaps(d) or []) > before, "a hole")


def over(sim, d, what, spent=True):
    """The storm has passed, and nothing is missing, doubled or wrong."""
    if spent:
        until(lambda: sim.ask("stats")["rules_left"] == 0, what + ": all of it happened")
    d.until_live(*SYMBOLS)
    flows(d)
    until_closed(d, what)
    sim.ask("scenario", name="none")
    check_all(sim, d, SYMBOLS, what)
    check_account(d, what)


def grown(d, before, name):
    return d.counters()[name] - before[name]


def storms(*rounds, config=None):
    """One daemon, one storm after the other: (what, rules, are the rules used up?, counters that must have grown)."""
    with Place() as place:
        sim, d = begin(place, config=config)
        flows(d)
        for what, rules, spent, counters in rounds:
            before = d.counters()
            hole(sim, d, rules)
            over(sim, d, what, spent)
            for name in counters:
                check(grown(d, before, name) > 0, "%s: %s %d" % (what, name, grown(d, before, name)))


def failures():
    storms(("429 with Retry-After", ["request x10 /v: status 429 json retry-after=1"], True, ["rest_throttled"]),
           ("502, 503, 504", ["request x4 /v: status 502 html", "request x4 /v: status 503 empty", "request x4 /v: status 504 json"],
            True, ["rest_errors"]),
           ("connections reset, dropped and cut", ["request x3 /v: reset", "request x3 /v: drop", "request x3 /v: cut 900"], True,
            ["rest_errors"]))


def broken_bodies():
    storms(("truncated gzip", ["request x6 /v: truncate"], True, ["rest_errors"]),
           ("corrupt gzip", ["request x6 /v: corrupt"], True, ["rest_errors"]),
           ("bad chunks, JSON that ends early", ["request x4 /v: bad-chunk",
                                                 'request x4 /v: body {"status":"OK","results":[{"t":1,'], True, ["rest_errors"]))


def lying_pages():
    storms(("pages of 25 rows", ["request /v: shrink 25"], False, ["rest_rows"]),
           ("counts that are too high", ["request x12 /v2: count 3"], True, ["rest_errors"]),
           ("next_url is the page itself", ["request x6 /v2: next self"], True, []),
           ("next_url is the page under ever new addresses", ["request x12 /v2: next again"], True, ["rest_duplicate"]))


def rows_out_of_order():
    storms(("every row twice", ["request /v: twice"], False, ["rest_duplicate"]),
           ("rows in the opposite order", ["request /v: turned"], False, ["rest_published"]),
           ("every bar stale first", ["request /v: stale"], False, ["bars_revised"]))


def kilobytes(d, name):
    with open("/proc/%d/status" % d.process.pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith(name + ":"))


def endless_bodies():
    with Place() as place:
        sim, d = begin(place, config={"rest": {"max_body_bytes": 4 * MIB}})
        flows(d)
        before, errors = kilobytes(d, "VmHWM"), d.counters()["rest_errors"]
        hole(sim, d, ["request x6 /v: flood %d" % (96 * MIB)])
        over(sim, d, "a gzip bomb of 96 MiB")
        hole(sim, d, ["request x6 /v: flood %d identity" % (96 * MIB)])
        over(sim, d, "a body of 96 MiB")
        hole(sim, d, ["request /v: identity"])
        over(sim, d, "bodies without gzip", spent=False)
        after = kilobytes(d, "VmHWM")
        check(d.counters()["rest_errors"] - errors >= 12, "each was refused")
        check(after - before < 48 * 1024, "memory is bounded: the peak grew by %d KiB" % (after - before))


def killed_in_the_midst():
    with Place() as place:
        sim, d = begin(place)
        flows(d)
        for kill in range(3):
            time.sleep(1)
            before = d.counters()["rest_rows"]
            hole(sim, d, ["request 1-%d /v: shrink 20" % (3 + kill), "request /v: delay 3000"])
            until(lambda: d.counters()["rest_rows"] > before, "a part of it has come")
            d.kill()
            left = sum(g["state"] == "filling" for g in gaps(d))
            check(left > 0, "killed while %d holes were being filled" % left)
            sim.ask("scenario", "request 1/2 /v: shrink 20")
            d.start().until_live(*SYMBOLS)
            what = "kill -9 in the midst"
            flows(d)
            until_closed(d, what)
            sim.ask("scenario", name="none")
            check_all(sim, d, SYMBOLS, what)
            check_account(d, what)


def throttled_without_a_word():
    """429 without Retry-After: a whole minute of silence, then all is well."""
    with Place() as place:
        sim, d = begin(place, speed=2)
        flows(d)
        hole(sim, d, ["request x1 /v: status 429 empty"])
        until(lambda: d.counters()["rest_throttled"] > 0, "429")
        start = time.monotonic()
        d.until_live(*SYMBOLS)
        time.sleep(1)  # what was in flight
        before = sim.ask("stats")["requests"]
        time.sleep(3)
        asked = sim.ask("stats")["requests"] - before
        check(asked <= 2, "silence: %d requests in 3 s, those of this test" % asked)
        check("waiting 60 s" in d.logged(), "the log says for how long")
        until(lambda: all(g["state"] == "closed" for g in gaps(d)), "the holes are closed after a minute", deadline=120)
        check(time.monotonic() - start > 50, "not before")
        over(sim, d, "429 without Retry-After")


waiting = concurrent.futures.ThreadPoolExecutor(1).submit(throttled_without_a_word)  # a minute: the others go on meanwhile


def throttled():
    waiting.result()


main(failures, broken_bodies, lying_pages, rows_out_of_order, endless_bodies, killed_in_the_midst, throttled)
