#!/usr/bin/python3
"""Holes in the stream: known, shown, filled over REST and closed, and the account balances. After each misfortune what is published
equals the exchange's own truth: trades and quotes each once, bars of a second and of a minute."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from gaps_oracle import SYMBOLS, TOPICS, begin, check_account, check_all, flows, gaps, until_closed  # noqa: E402
from harness import Place, check, main, until  # noqa: E402

def an_outage_is_filled():
    with Place() as place:
        sim, d = begin(place)
        flows(d)
        time.sleep(1)
        sim.ask("scenario", "upgrade x12: status 502 html\nrequest x12: status 503 html\n")
        sim.ask("drop")
        until(lambda: any(g["to"] is None for g in gaps(d) or []), "the hole is shown while it grows")
        rows = [g for g in gaps(d) if g["to"] is None]
        check({g["topic"] for g in rows} == set(TOPICS) and {g["symbol"] for g in rows} == set(SYMBOLS),
              "every pair has one")
        check({g["why"] for g in rows} == {"connection"} and {g["state"] for g in rows} == {"open"}, "with the reason")
        d.until_live(*SYMBOLS)
        flows(d)
        until_closed(d, "after an outage")
        time.sleep(0.5)
        until_closed(d, "after an outage")
        filled = check_all(sim, d, SYMBOLS, "after an outage")
        check(all(filled.values()), "what came late is marked: %s" % filled)
        rows = gaps(d, "AAPL")
        check(rows and {g["symbol"] for g in rows} == {"AAPL"} and sum(g["filled"] for g in rows) > 0, "gaps SYMBOL shows its own")
        check_account(d, "after an outage")
        c = d.counters()
        check(c["gap_records"] > 0 and c["gaps_open"] == 0 and c["gaps_closed"] >= 8, "counters say so")
        check("hole from" in d.logged() and "is closed" in d.logged(), "the log says so")
        check(d.ctl("gaps", "NOPE").returncode == 4, "an unknown symbol ends with 4")


def silence_is_a_hole():
    with Place() as place:
        sim, d = begin(place)
        flows(d)
        sim.ask("silence")
        until(lambda: any(g["why"] == "silence" for g in gaps(d) or []), "a silent server: the hole is known")
        d.until_live(*SYMBOLS)
        flows(d)
        until_closed(d, "after silence")
        check_all(sim, d, SYMBOLS, "after silence")
        check_account(d, "after silence")


def restart_in_the_middle_of_a_backfill():
    with Place() as place:
        sim, d = begin(place)
        flows(d)
        time.sleep(1)
        # every answer takes longer than the daemon lives
        sim.ask("scenario", "upgrade x6: status 502 html\nrequest: delay 4000\n")
        sim.ask("drop")
        until(lambda: any(g["state"] == "filling" for g in gaps(d) or []), "holes are being filled")
        d.kill()
        check(any(g["state"] == "filling" for g in gaps(d)), "what a dead daemon left says so")
        sim.ask("scenario", name="none")
        time.sleep(1)
        d.start().until_live(*SYMBOLS)
        flows(d)
        until_closed(d, "after kill -9 in a backfill")
        check_all(sim, d, SYMBOLS, "after kill -9 in a backfill")
        check_account(d, "after kill -9 in a backfill")
        d.process.send_signal(signal.SIGTERM)
        d.process.wait()
        d.log.close()
        time.sleep(1)
        d.start().until_live(*SYMBOLS)
        flows(d)
        check(any(g["why"] == "restart" for g in gaps(d)), "the time without a daemon is a hole")
        until_closed(d, "after a clean restart")
        check_all(sim, d, SYMBOLS, "after a clean restart")
        check_account(d, "after a clean restart")


def not_entitled():
    with Place() as place:
        sim, d = begin(place)
        flows(d)
        sim.ask("scenario", "request /v3/: status 403 json\n")
        sim.ask("drop")
        until(lambda: d.counters()["gaps_unfillable"] >= 4, "403: trades and quotes are given up")
        until(lambda: all(g["state"] in ("closed", "unfillable") for g in gaps(d)), "the bars are filled")
        rows = [g for g in gaps(d) if g["state"] == "unfillable"]
        check({g["reason"] for g in rows} == {"not entitled"} and {g["topic"] for g in rows} == {"trades", "quotes"}, "with the reason")
        text = d.ctl("gaps").stdout
        check("unfillable" in text and "not entitled" in text, "and shown: " + text.splitlines()[1])
        check_account(d, "403")


main(an_outage_is_filled, silence_is_a_hole, restart_in_the_middle_of_a_backfill, not_entitled)
