"""What the whole-program tests share: a stand-in exchange, a daemon, polyctl, each in a throw-away folder.

Everything is started by this process, waited for by condition with a generous deadline, and ended by pid. Nothing is left: no
process, no folder, no segment.
"""
import contextlib
import datetime
import glob
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build/release")).resolve()
KEY = "test-key"
DEADLINE = 60.0

_serial = 0


def until(condition, what, deadline=DEADLINE, step=0.05):
    """Waits until condition() is true and returns its value."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited %.0f s in vain: %s" % (deadline, what))
        time.sleep(step)


def session_start(hour="11:00"):
    """A recent Tuesday or Wednesday in session, for polysim's --start: recent, so that the daemon's warm-up (which looks back from
    the wall clock) finds its history; those two weekdays, since of the exchange's holidays only fixed dates can fall on them."""
    day = datetime.date.today() - datetime.timedelta(days=2)
    while day.weekday() not in (1, 2) or (day.month, day.day) in ((1, 1), (6, 19), (7, 4), (12, 25)):
        day -= datetime.timedelta(days=1)
    return "%sT%s" % (day.isoformat(), hour)


def check(condition, what):
    if not condition:
        raise AssertionError(what)
    print("ok   " + what, flush=True)


class Sim:
    """polysim on two free ports of loopback."""

    def __init__(self, folder, *args):
        self.folder = folder
        self.ports_file = folder / "ports"
        self.log = open(folder / "polysim.log", "ab")
        with contextlib.suppress(FileNotFoundError):
            self.ports_file.unlink()
        self.process = subprocess.Popen(
            [BUILD / "polysim", "--ports-file", self.ports_file, "--cert-dir", folder, "--key", KEY, *map(str, args)],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        until(lambda: self.ports_file.exists() or self.process.poll() is not None, "polysim's ports")
        if self.process.poll() is not None:
            raise AssertionError("polysim ended: " + (folder / "polysim.log").read_text())
        self.ports = dict(w.split("=") for w in self.ports_file.read_text().split())

    @property
    def http(self):
        return "http://127.0.0.1:" + self.ports["http"]

    def ask(self, path, body=None, **query):
        """POSTs to the control endpoint; the answer as JSON when it is some."""
        url = "%s/sim/%s?%s" % (self.http, path, urllib.parse.urlencode(query))
        request = urllib.request.Request(url, data=(body or "").encode(), method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read().decode()
        with contextlib.suppress(ValueError):
            return json.loads(text)
        return text

    def get(self, path, **query):
        """A REST request with the key."""
        url = "%s%s?%s" % (self.http, path, urllib.parse.urlencode(query))
        request = urllib.request.Request(url, headers={"Authorization": "Bearer " + KEY})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def stop(self):
        end(self.process)
        self.log.close()


class Daemon:
    """polygond under its own instance name. `config` is a dict of top-level sections merged over a small configuration."""

    def __init__(self, folder, sim=None, key=KEY, config=None, clusters=None, tls=True, env=None, program=None):
        global _serial
        _serial += 1
        self.folder = folder
        self.instance = "it%d-%d" % (os.getpid(), _serial)
        scheme = "s" if tls else ""
        port = sim.ports["https" if tls else "http"] if sim else "1"
        sections = {
            "instance": self.instance,
            "stream": {"url": "ws%s://localhost:%s" % (scheme, port), "backoff_min_ms": 50, "backoff_max_ms": 500},
            "rest": {"url": "http%s://localhost:%s" % (scheme, port)},
            "clusters": clusters or [{"name": "stocks", "symbols": ["AAPL", "MSFT"]}],
            "bus": {"symbols": 32, "bars": [{"timespan": "1m", "rows": 1000}, {"timespan": "1s", "rows": 600}],
                    "trades": 16384, "quotes": 16384},
            "cache": {"enabled": False},
            "control": {"path": str(folder / ("control-%d.sock" % _serial))},
        }
        if tls and sim:
            sections["stream"]["ca_file"] = str(folder / "ca.pem")
        for name, value in (config or {}).items():
            if isinstance(value, dict):
                sections.setdefault(name, {}).update(value)
            else:
                sections[name] = value
        self.config = folder / ("polygond-%d.yaml" % _serial)
        self.config.write_text(to_yaml(sections))
        self.log_path = folder / ("polygond-%d.log" % _serial)
        self.key = key
        self.env = env or {}
        self.program = program or [BUILD / "polygond"]
        self.process = None
        self.start()

    def start(self):
        env = dict(os.environ, **self.env)
        env.pop("POLYGON_API_KEY", None)
        if self.key is not None:
            env["POLYGON_API_KEY"] = self.key
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen([*self.program, "--config", self.config], env=env, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)
        return self

    def logged(self):
        return self.log_path.read_text(errors="replace")

    def ctl(self, *args, timeout=DEADLINE, **kw):
        return subprocess.run([BUILD / "polyctl", "--instance", self.instance, *map(str, args)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout, **kw)

    def follow(self, *args, **kw):
        """A polyctl that goes on running, output by line."""
        kw.setdefault("stdout", subprocess.PIPE)
        return subprocess.Popen([BUILD / "polyctl", "--instance", self.instance, *map(str, args)], stdin=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True, bufsize=1, **kw)

    def status(self):
        r = self.ctl("status", "--json")
        return json.loads(r.stdout) if r.returncode == 0 and r.stdout else {}

    def counters(self):
        r = self.ctl("stat", "--json")
        if r.returncode != 0:
            return {}
        values = {}
        for line in r.stdout.splitlines():
            row = json.loads(line)
            if "name" in row:
                values[row["name"]] = row["value"]
            else:
                values.update(row)
        return values

    def symbols(self):
        r = self.ctl("list", "--json")
        return {row["symbol"]: row for row in map(json.loads, r.stdout.splitlines())} if r.returncode == 0 else {}

    def until_live(self, *symbols):
        def live():
            if self.process.poll() is not None:
                raise AssertionError("polygond ended with %d: %s" % (self.process.returncode, self.logged()))
            if self.status().get("pid") != self.process.pid:
                return False  # the board still shows the run before
            rows = self.symbols()
            return all(rows.get(s, {}).get("state") == "live" for s in symbols)
        until(live, "live: " + ", ".join(symbols))
        return self

    def until_exit(self):
        return self.process.wait(timeout=DEADLINE)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def stop(self):
        code = end(self.process)
        self.log.close()
        return code

    def remove(self):
        for path in glob.glob("/dev/shm/polygond.%s.*" % self.instance):
            os.unlink(path)


def to_yaml(value, indent=0):
    """Enough YAML for a configuration: JSON is YAML's flow form."""
    del indent
    return "".join("%s: %s\n" % (k, json.dumps(v)) for k, v in value.items())


def end(process, sig=signal.SIGTERM):
    if process is None:
        return None
    if process.poll() is None:
        process.send_signal(sig)
        try:
            process.wait(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError("did not end on a signal: %s" % (process.args,))
    return process.returncode


class Place:
    """A folder and what was started in it; leaving the `with` ends all of it, whatever happened."""

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="polygond-test."))
        self.parts = []
        return self

    def sim(self, *args):
        part = Sim(self.folder, *args)
        self.parts.append(part)
        return part

    def daemon(self, *args, **kw):
        part = Daemon(self.folder, *args, **kw)
        self.parts.append(part)
        return part

    def __exit__(self, kind, value, trace):
        if kind is not None:
            for path in sorted(self.folder.glob("*.log")):
                print("---- %s\n%s" % (path.name, path.read_text(errors="replace")[-6000:]))
        for part in reversed(self.parts):
            with contextlib.suppress(AssertionError, ProcessLookupError, ValueError):
                part.stop()
            if isinstance(part, Daemon):
                part.remove()
        shutil.rmtree(self.folder, ignore_errors=True)
        return False


def main(*tests):
    """Runs the functions given; a failure of one does not hide the others."""
    failed = 0
    for test in tests:
        print("== " + test.__name__, flush=True)
        try:
            test()
        except Exception as e:  # noqa: BLE001 - reported, and the next test runs
            failed += 1
            print("FAIL %s: %s: %s" % (test.__name__, type(e).__name__, e), flush=True)
    sys.exit(1 if failed else 0)
