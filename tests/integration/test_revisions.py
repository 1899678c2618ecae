#!/usr/bin/python3
"""Bars that were lost in silence or corrected where only REST shows it, duplicates, disorder, revisions: what is published equals the
exchange's own truth, and the account balances."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from gaps_oracle import CONFIG, SYMBOLS, begin, check_account, check_all, check_bars, check_ticks, flows, gaps, until_closed  # noqa: E402
from harness import Place, check, main, session_start, until  # noqa: E402


def only_rest_knows():
    """Corrections and bars that the stream never sent are found by the re-check; lost bars whose volume the next one shows, at once."""
    clusters = [{"name": "stocks", "symbols": SYMBOLS, "topics": ["bars_1m"]}]
    with Place() as place:
        sim = place.sim("--seed", 5, "--speed", 120, "--start", session_start("10:00"))
        config = dict(CONFIG, rest=dict(CONFIG["rest"], warm=True))
        d = place.daemon(sim, clusters=clusters, config=config).until_live(*SYMBOLS)
        until(lambda: d.counters()["bars_appended"] > 8, "bars come")
        sim.ask("scenario", name="lossy")
        until(lambda: sum(g["why"] == "jump" for g in gaps(d)) >= 3, "a bar that was never sent shows in the next one's volume")
        sim.ask("scenario", name="none")
        until_closed(d, "bars lost in silence")
        for symbol in SYMBOLS:
            check_bars(sim, d, symbol, "1m", "bars lost in silence")
        check_account(d, "bars lost in silence")
        jumps = [g for g in gaps(d) if g["why"] == "jump"]
        check(all(g["filled"] for g in jumps), "no such hole was imagined: %d" % len(jumps))
        d.stop()
        d.remove()
        config["rest"].update(recheck_minutes=60, recheck_s=1)
        d = place.daemon(sim, clusters=clusters, config=config).until_live(*SYMBOLS)
        until(lambda: d.counters()["bars_appended"] > 8, "bars come")
        have = d.counters()["bars_corrected"]
        for symbol in SYMBOLS:
            sim.ask("revise", symbol=symbol, ago=5, quiet=1)
        until(lambda: d.counters()["bars_corrected"] >= have + 2, "late corrections are found")
        for symbol in SYMBOLS:
            check_bars(sim, d, symbol, "1m", "corrected in REST only")
        c = d.counters()
        check(c["bars_corrected"] <= have + 4 and c["bars_revised"] >= 2, "and nothing else was: %s" % c["bars_corrected"])
        check_account(d, "corrected in REST only")


def duplicated_disordered_revised():
    with Place() as place:
        sim, d = begin(place)
        for name in ("duplicates", "out-of-order"):
            sim.ask("scenario", name=name)
            flows(d)
            time.sleep(1)
        sim.ask("scenario", name="none")
        flows(d)
        until(lambda: all(d.symbols()[s]["rows_1m"] >= 2 for s in SYMBOLS), "minutes pass")
        until_closed(d, "duplicated, disordered")
        check_all(sim, d, SYMBOLS, "duplicated, disordered")
        sim.ask("scenario", name="backwards")
        flows(d)
        time.sleep(1)
        sim.ask("scenario", name="none")
        flows(d)
        for symbol in SYMBOLS:  # a quote with another sequence number is another quote
            check_ticks(sim, d, symbol, "trades", "sequence numbers run backwards")
        for symbol in SYMBOLS:  # the late trade itself is not sent, the bars it changed are
            sim.ask("revise", symbol=symbol, ago=1)
        until(lambda: d.counters()["bars_revised"] >= 2, "revised bars come")
        flows(d)
        for symbol in SYMBOLS:
            check_bars(sim, d, symbol, "1m", "revised")
        check_account(d, "duplicated, disordered, revised")
        check(d.counters()["events_duplicate"] > 5, "duplicates were dropped: %d" % d.counters()["events_duplicate"])


main(only_rest_knows, duplicated_disordered_revised)
