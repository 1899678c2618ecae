#!/usr/bin/python3
"""`make demo` as a newcomer sees it: rows with indicators, an end by itself, and nothing left behind."""
import glob
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(__file__))
from harness import BUILD, ROOT, check, main, until  # noqa: E402


def left(pid):
    mine = glob.glob("/dev/shm/polygond.demo-%d.*" % pid) + glob.glob("/tmp/polygond-demo.*")
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            text = open(path, "rb").read()
        except OSError:
            continue
        if b"polygond-demo." in text:
            mine.append(text.decode(errors="replace"))
    return mine


def demo_ends_by_itself():
    p = subprocess.Popen(["tests/demo", BUILD, "8"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    text, _ = p.communicate(timeout=120)
    check(p.returncode == 0, "exit 0")
    rows = [line for line in text.splitlines() if line[2:3] == "-" and line[8:9] == ":"]
    check(len(rows) >= 5, "%d rows were shown" % len(rows))
    check(" - " not in " ".join(rows[-1].split()[:13]), "with indicators: " + rows[-1])
    check(not left(p.pid), "nothing is left behind: %s" % left(p.pid))


def demo_interrupted():
    p = subprocess.Popen(["tests/demo", BUILD, "60"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         start_new_session=True)
    until(lambda: "subscribe" in p.stdout.readline(), "it shows what it does")
    os.killpg(p.pid, 2)  # as Ctrl-C does
    p.communicate(timeout=60)
    check(p.returncode == 0, "Ctrl-C ends it with 0")
    check(not left(p.pid), "and nothing is left behind")


main(demo_ends_by_itself, demo_interrupted)
