#!/usr/bin/env python3
"""Prints a symbol's closes and one indicator as bars are published: follow.py [SYMBOL [INSTANCE]]."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))
import polygond  # noqa: E402

symbol = sys.argv[1] if len(sys.argv) > 1 else "AAPL"
bus = polygond.attach(sys.argv[2] if len(sys.argv) > 2 else "main")
bars = bus.bars("1m")
indicator = bars.indicators[0] if bars.indicators else None
for event in bus.subscribe("bars.1m", [symbol], history=10):
    if event is None:
        print("no daemon is running; waiting", file=sys.stderr)
    elif isinstance(event, polygond.Lost):
        print("lost %d records" % event.count, file=sys.stderr)
    else:
        print(event["t"], event["c"], event.get(indicator), flush=True)
