"""What the tests of polyctl share: a bus written by hand, a fake control socket, running polyctl. Standard library only."""
import os
import pathlib
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build" / "release")).resolve()
POLYCTL = str(BUILD / "polyctl")
WRITER = str(BUILD / "tests" / "cli" / "helper_writer")
T0 = 1732285800000  # 2024-11-22 14:30 UTC
MINUTE = 60000
PATIENCE = 30.0  # seconds for what must come


class Bus:
    """An instance written line by line; removed at the end."""

    serial = 0

    def __init__(self, control=None):
        Bus.serial += 1
        self.name = "cli%d-%d" % (os.getpid(), Bus.serial)
        self.lock = threading.Lock()
        argv = [WRITER, self.name] + ([control] if control else [])
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ok\n"

    def __call__(self, line):
        with self.lock:  # a control socket's thread may write as well
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        assert answer == "ok\n", (line, answer)

    def bar(self, symbol, i, verb="append", index=0, span="1m", c=188.125, indicators="187.1 55.5 187.3"):
        step = 1000 if span == "1s" else MINUTE
        self("%s %s %s %d %d 187.23 189.5 187.01 %r 12345.5 187.77 321 %s" % (
            verb, span, symbol, index, T0 + i * step, c, indicators))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(PATIENCE)


def polyctl(bus, *words, env=None, timeout=PATIENCE):
    """Runs to the end: (exit code, stdout, stderr)."""
    argv = [POLYCTL] + (["--instance", bus.name] if bus else []) + list(words)
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "TZ", "POLYGOND_INSTANCE")}
    environment.update(env or {})
    r = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, env=environment)
    return r.returncode, r.stdout, r.stderr


class Running:
    """polyctl in the background; lines are waited for, never slept for."""

    def __init__(self, bus, *words):
        self.process = subprocess.Popen([POLYCTL, "--instance", bus.name] + list(words), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.buffers = {self.process.stdout: b"", self.process.stderr: b""}

    def _line(self, stream):
        deadline = time.monotonic() + PATIENCE
        while b"\n" not in self.buffers[stream]:
            left = deadline - time.monotonic()
            assert left > 0, "no line in time; have %r" % self.buffers
            if select.select([stream], [], [], left)[0]:
                data = os.read(stream.fileno(), 65536)
                assert data, "ended: %r" % (self.end(),)
                self.buffers[stream] += data
        line, self.buffers[stream] = self.buffers[stream].split(b"\n", 1)
        return line.decode()

    def out(self):
        return self._line(self.process.stdout)

    def err(self):
        return self._line(self.process.stderr)

    def end(self):
        """Exit code, and what is left of stdout and stderr."""
        out, err = self.process.communicate(timeout=PATIENCE)
        return (self.process.returncode, (self.buffers[self.process.stdout] + out).decode(),
                (self.buffers[self.process.stderr] + err).decode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Control:
    """A control socket that answers each request with what `answer(request)` returns."""

    def __init__(self, answer):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "s")
        self.answer = answer
        self.requests = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(self.path)
        self.socket.listen(8)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rw") as f:
                request = f.readline().rstrip("\n")
                self.requests.append(request)
                f.write(self.answer(request))
                f.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.folder.cleanup()


def run(*tests):
    """Runs every test; exit 1 when one failed."""
    failed = 0
    for test in tests:
        try:
            test()
            print("ok   " + test.__name__)
        except Exception as e:  # noqa: each test is judged on its own
            failed += 1
            import traceback
            traceback.print_exc()
            print("FAIL %s: %s" % (test.__name__, e))
    sys.exit(1 if failed else 0)


if not os.path.exists(WRITER):
    print("not built: " + WRITER)
    sys.exit(77)
