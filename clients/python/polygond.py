"""Read what a polygond daemon publishes in shared memory. Standard library only; NumPy is used when it is there.

    import polygond
    bus = polygond.attach("main")
    print(bus.status(), bus.symbols())
    minutes = bus.bars("1m")
    print(minutes.rows("AAPL", 10))             # the newest rows, oldest first, as dicts
    close = minutes.columns("AAPL", 200)["c"]   # plain columns
    for event in bus.subscribe("bars.1m", ["AAPL"]):
        print(event)                            # blocks in the kernel, does not poll

The segments are mapped read-only: nothing here can disturb the daemon or another reader. Every record is copied first, then
validated, then delivered; docs/abi.md argues the protocols. Offsets of fields come from the schema inside the segments.
"""
import array
import ctypes
import fcntl
import math
import mmap
import os
import platform
import struct
import sys
import threading
import time

try:
    import numpy
except ImportError:
    numpy = None

MAGIC = 0x444E4F47594C4F50
ABI_MAJOR = 1
LINE = 64
KINDS = {"board": 1, "bars": 2, "tape": 3}
RECORD_BAR, RECORD_UNIT, RECORD_SERIES, RECORD_SLOT, RECORD_LOG, RECORD_DAY, RECORD_SYMBOL, RECORD_GAP = range(1, 9)
TYPES = {1: "B", 2: "H", 3: "I", 4: "Q", 5: "q", 6: "d", 7: "s"}
SERIES_LIMIT = 65536
CAPACITY_LIMIT = 16777216
# By value, from 1.
GAP_WORDS = {
    "why": ("connection", "silence", "restart", "start", "refused", "jump", "found"),
    "state": ("open", "filling", "closed", "unfillable"),
    "reason": ("not entitled", "no source", "too long", "off", "unknown", "failed", "unwanted"),
}
STALL_S = 5.0
TRIES = 1000
CHANGE_HISTORY = 4

if sys.byteorder != "little":
    raise ImportError("polygond's segments are little-endian and are read in place")


class Error(Exception):
    """The bus cannot be read."""


class NotThere(Error):
    """No such instance or segment."""


class Lost:
    """The writer lapped this reader: so many records of the stream are gone."""

    def __init__(self, stream, count):
        self.stream, self.count = stream, count

    def __repr__(self):
        return "Lost(%r, %d)" % (self.stream, self.count)


# A fence for machines that reorder loads. Giving a lock back is a release and taking it an acquire, and an acquire does not
# pass an earlier release: loads before stay before loads after. Costs less than one dict.
_lock = threading.Lock()
_lock.acquire()


def _fence():
    _lock.release()
    _lock.acquire()


if platform.machine() in ("x86_64", "AMD64"):
    def _fence():  # noqa: F811 - loads are not reordered there, and the interpreter's C code keeps their order
        pass


class _PyBuffer(ctypes.Structure):
    _fields_ = [("buf", ctypes.c_void_p), ("obj", ctypes.py_object), ("len", ctypes.c_ssize_t),
                ("itemsize", ctypes.c_ssize_t), ("readonly", ctypes.c_int), ("ndim", ctypes.c_int),
                ("format", ctypes.c_char_p), ("shape", ctypes.c_void_p), ("strides", ctypes.c_void_p),
                ("suboffsets", ctypes.c_void_p), ("internal", ctypes.c_void_p)]


def _address(mapping):
    """Where a read-only mapping lies (ctypes' own way wants it writable)."""
    view = _PyBuffer()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(mapping), ctypes.byref(view), 0)
    address = view.buf
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(view))
    return address


class _Timespec(ctypes.Structure):
    _fields_ = [("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long)]


_FUTEX = {"x86_64": 202, "aarch64": 98, "riscv64": 98}.get(platform.machine())
_libc = ctypes.CDLL(None, use_errno=True)


def _futex_wait(address, seen, seconds):
    """Sleeps while the word is `seen`. The shared kind of futex: the private one never gets the daemon's wake."""
    if _FUTEX is None:
        time.sleep(min(seconds, 0.005))
        return
    t = _Timespec(int(seconds), int((seconds - int(seconds)) * 1e9))
    _libc.syscall(ctypes.c_long(_FUTEX), ctypes.c_void_p(address), ctypes.c_int(0), ctypes.c_uint32(seen),
                  ctypes.byref(t), None, ctypes.c_int(0))


def _extent(size, offset, count, stride, length):
    if offset % 8 or offset + max(count - 1, 0) * stride + length > size:
        raise Error("damaged segment: something lies outside it")


class Segment:
    """One mapped segment: header and schema, checked before any offset is used."""

    def __init__(self, instance, name, kind):
        path = "/dev/shm/polygond.%s.%s" % (instance, name)
        try:
            self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotThere("%s: no such segment" % path) from None
        stat = os.fstat(self.fd)
        self.inode = (stat.st_dev, stat.st_ino)
        self.size = stat.st_size
        self.name = name
        if self.size < 256:
            os.close(self.fd)
            raise Error("%s: not ready" % path)
        self.map = mmap.mmap(self.fd, 0, prot=mmap.PROT_READ)
        self.bytes = memoryview(self.map)
        self.words = self.bytes[:self.size & ~7].cast("Q")
        self.halves = self.bytes[:self.size & ~7].cast("I")
        self.address = _address(self.map)
        self._check(path, kind)

    def _check(self, path, kind):
        if self.words[0] != MAGIC:
            raise Error("%s: not ready" % path)
        _fence()
        major, _, self.kind = struct.unpack_from("=HHI", self.bytes, 8)
        size, = struct.unpack_from("=Q", self.bytes, 16)
        if major != ABI_MAJOR:
            raise Error("%s: ABI %d, this reader knows %d" % (path, major, ABI_MAJOR))
        if self.kind != kind or size > self.size:
            raise Error("%s: damaged" % path)
        (self.geometry_offset, self.geometry_size, schema, count, stride) = struct.unpack_from("=IIIII", self.bytes, 48)
        _extent(self.size, self.geometry_offset, 1, 0, self.geometry_size)
        if stride < 64 or count > 65536:
            raise Error("%s: damaged" % path)
        _extent(self.size, schema, count, stride, 64 if count else 0)
        self.fields = {}
        for i in range(count):
            name, unit, offset, record, kind_, n = struct.unpack_from("=24s16sIHHI", self.bytes, schema + i * stride)
            if kind_ in TYPES and 0 < n < 65536:
                self.fields.setdefault(record, []).append((_text(name), _text(unit), offset, TYPES[kind_], n))

    def decoder(self, record, size):
        """Function from the bytes of a record to a dict, by the schema."""
        fields = [(name, struct.Struct("=%d%s" % (n, t)), offset, t, n)
                  for name, _, offset, t, n in self.fields.get(record, [])]
        for _, s, offset, _, _ in fields:
            if offset + s.size > size:
                raise Error("%s: damaged schema" % self.name)

        def decode(data):
            row = {}
            for name, s, offset, t, n in fields:
                value = s.unpack_from(data, offset)
                row[name] = _text(value[0]) if t == "s" else value[0] if n == 1 else value
            return row

        return decode

    @property
    def stale(self):
        return self.halves[7] != 1

    @property
    def epoch(self):
        return self.words[4]

    def copy(self, offset, length):
        return self.map[offset:offset + length]

    def guarded(self, offset, length):
        """Copies a record whose first word is odd while it is written; None when there is none."""
        for _ in range(TRIES):
            seq = self.words[offset // 8]
            if seq == 0:
                return None
            if seq & 1 == 0:
                _fence()
                data = self.copy(offset, length)
                _fence()
                if self.words[offset // 8] == seq:
                    return data
            time.sleep(0)
        return None

    def close(self):
        for view in (self.words, self.halves, self.bytes):
            view.release()
        self.map.close()
        os.close(self.fd)


def _text(raw):
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")


def _absent(value):
    return None if isinstance(value, float) and math.isnan(value) else value


class TapeReader:
    """Reads a tape from a position on; counts exactly what the writer overran."""

    def __init__(self, segment, offset, oldest=False):
        self.segment, self.offset = segment, offset
        _extent(segment.size, offset, 1, 0, 256)
        (self.slots, self.capacity, slot, self.latest_offset, self.latest_count, stride) = struct.unpack_from(
            "=QIIQII", segment.bytes, offset)
        capacity = self.capacity
        if slot != LINE or capacity < 256 or capacity > CAPACITY_LIMIT or capacity & (capacity - 1):
            raise Error("%s: damaged tape" % segment.name)
        _extent(segment.size, self.slots, capacity, LINE, LINE)
        if self.latest_offset == 0:
            self.latest_count = 0
        elif stride != LINE or self.latest_count > SERIES_LIMIT:
            raise Error("%s: damaged tape" % segment.name)
        else:
            _extent(segment.size, self.latest_offset, self.latest_count, LINE, LINE)
        self.lost = 0
        self.next = segment.words[(offset + 128) // 8]
        if oldest:
            end = self._reserve() + 64
            self.next = min(self.next, max(0, end - capacity))

    def _reserve(self):
        return self.segment.words[(self.offset + 64) // 8]

    def notify(self):
        return self.segment.halves[(self.offset + 192) // 4]

    def wait(self, seen, seconds):
        _futex_wait(self.segment.address + self.offset + 192, seen, seconds)

    def get(self):
        """The next record's 64 bytes; None: none yet; Lost: lapped, the next call goes on mid-ring."""
        at = self.slots + (self.next & (self.capacity - 1)) * LINE
        commit = self.segment.words[at // 8]
        if commit <= self.next:
            return None
        _fence()
        data = self.segment.copy(at, LINE)
        _fence()
        reserve = self._reserve()
        if commit != self.next + 1 or reserve - self.next > self.capacity:
            resume = reserve - self.capacity // 2
            lost = resume - self.next
            self.lost += lost
            self.next = resume
            return Lost(self.segment.name, lost)
        self.next += 1
        return data

    def latest(self, symbol):
        if symbol >= self.latest_count:
            return None
        return self.segment.guarded(self.latest_offset + symbol * LINE, LINE)


class Tape:
    """`trades` or `quotes`: records in arrival order, and the latest of each symbol."""

    def __init__(self, bus, name):
        self.bus, self.name = bus, name
        self.segment = Segment(bus.instance, name, KINDS["tape"])
        self.offset, = struct.unpack_from("=Q", self.segment.bytes, self.segment.geometry_offset)
        self.decode = self.segment.decoder(RECORD_SLOT, LINE)
        self._latest = self.reader()

    def reader(self, oldest=False):
        return TapeReader(self.segment, self.offset, oldest)

    def event(self, data):
        """A record as a dict: the schema's names, times in ns, absent numbers None."""
        record = self.decode(data)
        record.pop("commit", None)
        record["symbol"] = self.bus.name(record["symbol"])
        record["type"] = self.name[:-1]
        return {k: _absent(v) for k, v in record.items()}

    def latest(self, symbol):
        index = self.bus.find(symbol)
        data = None if index is None else self._latest.latest(index)
        return None if data is None else self.event(data)

    def close(self):
        self.segment.close()


class Bars:
    """A segment of bars: for each symbol a ring of rows with indicators, a forming bar, the day's figures."""

    FORMAT = struct.Struct("=16sqIIQQQQQQQIIQ")

    def __init__(self, bus, timespan):
        self.bus, self.timespan, self.name = bus, timespan, "bars." + timespan
        self.segment = s = Segment(bus.instance, self.name, KINDS["bars"])
        if s.geometry_size < self.FORMAT.size:
            raise Error("%s: damaged" % self.name)
        (_, self.span_ms, self.series_max, self.capacity, self.series_offset, self.series_stride, self.bar_offset,
         self.bar_stride, self.unit_offset, self.unit_stride, self.rows_stride, self.unit_size, self.column_count,
         self.log_offset) = self.FORMAT.unpack_from(s.bytes, s.geometry_offset)
        self._check()
        self.decode = s.decoder(RECORD_BAR, LINE)
        self.decode_day = s.decoder(RECORD_DAY, LINE)
        self.decode_change = s.decoder(RECORD_LOG, LINE)
        self.indicators = [""] * self.column_count
        self.units = [""] * self.column_count
        for name, unit, offset, t, _ in s.fields.get(RECORD_UNIT, []):
            column = offset // 8 - 1
            if t == "d" and offset % 8 == 0 and 0 <= column < self.column_count:
                self.indicators[column], self.units[column] = name, unit

    def _check(self):
        size, series, rows = self.segment.size, self.series_max, self.capacity
        if not (0 < series <= SERIES_LIMIT and 0 < rows <= CAPACITY_LIMIT and self.bar_stride >= LINE
                and self.unit_stride >= self.unit_size >= 8 * (self.column_count + 1) and self.series_stride >= 256
                and (self.bar_stride | self.unit_stride | self.rows_stride | self.series_stride) % 8 == 0):
            raise Error("%s: damaged" % self.name)
        _extent(size, self.series_offset, series, self.series_stride, 256)
        _extent(size, self.bar_offset, series, self.rows_stride, (rows - 1) * self.bar_stride + LINE)
        _extent(size, self.unit_offset, series, self.rows_stride, (rows - 1) * self.unit_stride + self.unit_size)

    def _index(self, symbol):
        index = symbol if isinstance(symbol, int) else self.bus.find(symbol)
        if index is None or not 0 <= index < self.series_max:
            raise KeyError(symbol)
        return index

    def head(self, symbol):
        """Rows published so far."""
        return self.segment.words[(self.series_offset + self._index(symbol) * self.series_stride) // 8]

    def first(self, symbol):
        """The oldest row held."""
        return max(0, self.head(symbol) - self.capacity + 1)

    def raw(self, index, i):
        """(bar line, indicators or None) of row i, whole and of one revision; None: not held, or being rewritten."""
        s = self.segment
        bar = self.bar_offset + index * self.rows_stride + i % self.capacity * self.bar_stride
        unit = self.unit_offset + index * self.rows_stride + i % self.capacity * self.unit_stride
        for _ in range(TRIES):
            head = self.head(index)
            if not head - self.capacity < i < head:
                return None
            _fence()
            meta = s.words[bar // 8 + 7]
            computed = s.words[(self.series_offset + index * self.series_stride) // 8 + 8]
            _fence()
            line = s.copy(bar, LINE)
            tag = s.words[unit // 8]
            _fence()
            values = s.copy(unit + 8, 8 * self.column_count)
            _fence()
            again, meta_again = s.words[unit // 8], s.words[bar // 8 + 7]
            _fence()
            if meta & 1 or meta != meta_again or line[56:] != meta.to_bytes(8, "little"):
                time.sleep(0)
                continue
            if i <= self.head(index) - self.capacity:
                return None
            belongs = i < computed and tag == again and tag >> 32 == i & 0xFFFFFFFF and tag >> 16 & 0xFFFF == meta & 0xFFFF
            return line, values if belongs else None
        return None

    def row(self, symbol, i):
        """Row i as a dict, None when it is not held. Indicators that are not computed yet are left out; absent values are
        None."""
        index = self._index(symbol)
        raw = self.raw(index, i)
        return None if raw is None else self._dict(self.bus.name(index), *raw)

    def _dict(self, name, line, values=None):
        row = {"symbol": name, "timespan": self.timespan}
        row.update((k, _absent(v)) for k, v in self.decode(line).items())
        if row.get("n") == 0xFFFFFFFF:
            row["n"] = None
        if values is not None:
            row.update(zip(self.indicators, map(_absent, struct.unpack("=%dd" % self.column_count, values))))
        return row

    def rows(self, symbol, n):
        """The newest n rows, oldest first."""
        index = self._index(symbol)
        head, name = self.head(index), self.bus.name(index)
        raw = (self.raw(index, i) for i in range(max(self.first(index), head - n), head))
        return [self._dict(name, *r) for r in raw if r is not None]

    def columns(self, symbol, n):
        """The newest n rows as columns: name to numpy array, or to array.array("d"). t is in ms since 1970; absent: NaN."""
        index = self._index(symbol)
        head = self.head(index)
        lines, units, before = [], [], None
        nothing = struct.pack("=d", math.nan) * self.column_count
        for i in range(max(self.first(index), head - n), head):
            raw = self.raw(index, i)
            t = None if raw is None else raw[0][:8]
            if raw is None or t == before:  # left the ring, or moved up by a late bar
                continue
            before = t
            lines.append(struct.unpack_from("=q6d", raw[0]) + (struct.unpack_from("=I", raw[0], 60)[0],))
            units.append(struct.unpack("=%dd" % self.column_count, raw[1] or nothing))
        out = {}
        for k, name in enumerate(("t", "o", "h", "l", "c", "v", "vw", "n")):
            out[name] = array.array("d", (line[k] for line in lines))
        out["n"] = array.array("d", (math.nan if x == 0xFFFFFFFF else x for x in out["n"]))
        for k, name in enumerate(self.indicators):
            out[name] = array.array("d", (u[k] for u in units))
        return {k: numpy.frombuffer(v) for k, v in out.items()} if numpy else out

    def forming(self, symbol):
        """The bar still forming, None when there is none."""
        index, s = self._index(symbol), self.segment
        at = self.series_offset + index * self.series_stride + 128
        for _ in range(TRIES):
            line = s.copy(at, LINE)
            _fence()
            if line == s.copy(at, LINE) and line[56] & 1 == 0:
                return self._dict(self.bus.name(index), line) if any(line[:8]) and any(line[56:]) else None
            time.sleep(0)
        return None

    def day(self, symbol):
        """Official open, accumulated volume and VWAP of the day, None when there are none."""
        index = self._index(symbol)
        data = self.segment.guarded(self.series_offset + index * self.series_stride + 192, LINE)
        if data is None:
            return None
        day = {k: _absent(v) for k, v in self.decode_day(data).items()}
        day.pop("seq", None)
        return day

    def reader(self, oldest=False):
        return TapeReader(self.segment, self.log_offset, oldest)

    def close(self):
        self.segment.close()


class Bus:
    """An attached instance."""

    BOARD = struct.Struct("=IIQQQIIQQIIQ")

    def __init__(self, instance):
        self.instance = instance
        self._names = {}
        self._open = {}
        self._attach()

    def _attach(self):
        self.board = b = Segment(self.instance, "board", KINDS["board"])
        if b.geometry_size < 512:
            raise Error("board: damaged")
        (self.symbol_max, self.hash_slots, self.hash_offset, self.symbols_offset, self.counters_offset, self.counter_count,
         self.error_max, self.errors_offset, self.segments_offset, self.segment_max, self.conn_max,
         self.conns_offset) = self.BOARD.unpack_from(b.bytes, b.geometry_offset)
        slots = self.hash_slots
        if slots & (slots - 1) or slots <= self.symbol_max or self.symbol_max > SERIES_LIMIT or slots > 4 * SERIES_LIMIT:
            raise Error("board: damaged")
        for offset, count, length in ((self.hash_offset, slots, 4), (self.symbols_offset, self.symbol_max, 128),
                                      (self.counters_offset, self.counter_count, 64),
                                      (self.errors_offset, self.error_max, 256),
                                      (self.segments_offset, self.segment_max, 64)):
            if count:
                _extent(b.size, offset, count, length, length)
        self.decode_symbol = b.decoder(RECORD_SYMBOL, 128)
        self._names.clear()

    def _word(self, offset):
        return self.board.words[(self.board.geometry_offset + offset) // 8]

    def symbol_count(self):
        return min(self._word(456), self.symbol_max)

    def name(self, index):
        """Symbol of an index; names never change hands."""
        name = self._names.get(index)
        if name is None and 0 <= index < self.symbol_count():
            name = self._names[index] = _text(self.board.copy(self.symbols_offset + index * 128, 48))
        return name or ""

    def find(self, symbol):
        """Index of a symbol, None when the daemon does not hold it."""
        count = self.symbol_count()
        _fence()
        h = 0xCBF29CE484222325
        for byte in symbol.encode():
            h = (h ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
        for i in range(self.hash_slots):
            entry = self.board.halves[(self.hash_offset + ((h + i) & (self.hash_slots - 1)) * 4) // 4]
            if entry == 0:
                return None
            if entry <= count and self.name(entry - 1) == symbol:
                return entry - 1
        return None

    def symbols(self):
        """The directory: name to a dict of its entry."""
        out = {}
        for i in range(self.symbol_count()):
            entry = self.decode_symbol(self.board.copy(self.symbols_offset + i * 128, 128))
            out[entry.pop("name", self.name(i))] = entry
        return out

    def segments(self):
        count = min(self._word(472), self.segment_max)
        return [_text(self.board.copy(self.segments_offset + i * 64, 32)) for i in range(count)]

    def counters(self):
        out = {}
        for i in range(self.counter_count):
            at = self.counters_offset + i * 64
            out[_text(self.board.copy(at, 40))] = self.board.words[(at + 40) // 8]
        return out

    def errors(self):
        out = []
        for i in range(min(self._word(464), self.error_max)):
            data = self.board.guarded(self.errors_offset + i * 256, 256)
            if data is not None:
                _, count, first, last, where, text = struct.unpack_from("=QQqq24s200s", data)
                out.append({"count": count, "first_ns": first, "last_ns": last, "where": _text(where), "text": _text(text)})
        return out

    def gaps(self, symbol=None):
        """Holes in the data, oldest first, as dicts: times in ns, `to_ns` None while it grows; `why`, `state`, `reason` in words."""
        offset, rows = struct.unpack_from("=QI", self.board.bytes, self.board.geometry_offset + 328)
        rows = min(rows, self._word(488))
        if rows:
            _extent(self.board.size, offset, rows, 128, 128)
        decode, out = self.board.decoder(RECORD_GAP, 128), []
        for data in (self.board.guarded(offset + i * 128, 128) for i in range(rows)):
            gap = decode(data) if data else {"id": 0}
            if gap["id"] == 0 or symbol not in (None, self.name(gap["symbol"])):
                continue
            gap["symbol"] = self.name(gap["symbol"])
            if gap["to_ns"] == 2**63 - 1:
                gap["to_ns"] = None
            for key, words in GAP_WORDS.items():
                gap[key] = words[gap[key] - 1] if 0 < gap[key] <= len(words) else None
            out.append(gap)
        return sorted(out, key=lambda gap: gap["id"])

    def alive(self):
        """Whether a daemon holds the instance: asks for its lock, which needs no permission to take it."""
        probe = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
        answer = fcntl.fcntl(self.board.fd, getattr(fcntl, "F_OFD_GETLK", 36), probe)
        return struct.unpack("hhqqi4x", answer)[0] != fcntl.F_UNLCK

    def heartbeat_age(self):
        """Seconds since the daemon's main loop last turned."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - struct.unpack("=q", struct.pack("=Q", self._word(448)))[0] / 1e9

    def status(self):
        at = self.board.geometry_offset
        data = self.board.copy(at, 512)
        control, version, pid, state, started, engine = struct.unpack_from("=112s32sIIq96s", data, 72)
        return {"instance": self.instance, "alive": self.alive(), "pid": pid, "epoch": self.board.epoch,
                "run_state": {1: "starting", 2: "running", 3: "stopping", 4: "stopped"}.get(state, "?"),
                "started_ns": started, "heartbeat_age_s": self.heartbeat_age(), "version": _text(version),
                "engine": _text(engine), "control": _text(control), "symbols": self.symbol_count(),
                "segments": self.segments()}

    def bars(self, timespan="1m"):
        return self._stream("bars." + timespan)

    def trades(self):
        return self._stream("trades")

    def quotes(self):
        return self._stream("quotes")

    def _stream(self, name):
        if name not in self._open:
            self._open[name] = Bars(self, name[5:]) if name.startswith("bars.") else Tape(self, name)
        return self._open[name]

    def refresh(self):
        """Attaches segments whose name has been taken by a successor; True when there was one."""
        changed = False
        if self.board.stale or not self.alive():
            try:
                fresh = Bus(self.instance)
            except (Error, OSError):
                return False
            if fresh.board.inode == self.board.inode:
                fresh.board.close()
            else:
                self.board.close()
                fresh._open = self._open
                self.__dict__.update(fresh.__dict__)
                changed = True
        for name, old in list(self._open.items()):
            if not changed and not old.segment.stale:
                continue
            try:
                self._open[name] = Bars(self, name[5:]) if name.startswith("bars.") else Tape(self, name)
            except (Error, OSError):
                self._open[name] = old
                continue
            if self._open[name].segment.inode == old.segment.inode:
                self._open[name].close()
                self._open[name] = old
                continue
            changed = True
        return changed

    def subscribe(self, stream="bars.1m", symbols=None, history=1, timeout=None):
        """Yields rows, trades or quotes as dicts, and Lost when the writer was too fast; None each second in which nothing
        came while no daemon is running. `symbols` None: all. Ends after `timeout` seconds without an event."""
        source = self._stream(stream)
        walker = _Rows(source, symbols, history) if isinstance(source, Bars) else _Records(source, symbols, history)
        last = time.monotonic()
        while True:
            seen = walker.reader.notify()
            came = False
            for event in walker.drain():
                came = True
                yield event
            if came:
                last = time.monotonic()
                continue
            if self._stream(stream).segment.stale or not self.alive():
                self.refresh()
                if self._stream(stream) is not walker.source:
                    walker.rebind(self._stream(stream))
                    continue
                if not self.alive():
                    yield None
            left = 1.0 if timeout is None else min(1.0, last + timeout - time.monotonic())
            if left <= 0:
                return
            walker.reader.wait(seen, left)

    def close(self):
        for stream in self._open.values():
            stream.close()
        self._open.clear()
        self.board.close()


class _Records:
    """Trades or quotes of some symbols."""

    def __init__(self, source, symbols, history):
        self.source, self.symbols = source, None if symbols is None else set(symbols)
        self.reader = source.reader()
        self.image = bool(history)

    def rebind(self, source):
        self.source, self.reader = source, source.reader(oldest=True)

    def drain(self):
        if self.image:
            self.image = False
            for name in sorted(self.symbols if self.symbols is not None else self.source.bus.symbols()):
                record = self.source.latest(name)
                if record is not None:
                    yield record
        while True:
            data = self.reader.get()
            if data is None:
                return
            if isinstance(data, Lost):
                yield data
                continue
            event = self.source.event(data)
            if self.symbols is None or event["symbol"] in self.symbols:
                yield event


class _Rows:
    """Rows of some symbols. A change says which rows changed; the row is read afterwards and may by then be a later version or,
    after an insertion, another row: so a row is new when its start is newer than all that were delivered."""

    def __init__(self, source, symbols, history):
        self.source, self.symbols = source, None if symbols is None else set(symbols)
        self.reader = source.reader()
        self.history = history
        self.newest = {}

    def rebind(self, source):
        self.source, self.reader = source, source.reader(oldest=True)

    def _deliver(self, index, i, force):
        raw = self.source.raw(index, i)
        if raw is None:
            return None
        t, meta = struct.unpack_from("=q", raw[0])[0], raw[0][56:58]
        known = self.newest.get(index, (0, b""))
        if t < known[0] and not force or t == known[0] and (not force or meta == known[1]):
            return None
        if t >= known[0]:
            self.newest[index] = (t, meta if raw[1] is not None else b"")
        return self.source._dict(self.source.bus.name(index), *raw)

    def _past(self):
        bus, self_history = self.source.bus, self.history
        self.history = 0
        for name in (self.symbols if self.symbols is not None else list(bus.symbols())):
            index = bus.find(name)
            if index is None or index >= self.source.series_max:
                continue
            head = self.source.head(index)
            for i in range(max(self.source.first(index), head - self_history), head):
                yield self._deliver(index, i, False)

    def _changed(self, change):
        index, first = change["symbol"], change["first"]
        if index >= self.source.series_max:
            return
        if self.symbols is not None and self.source.bus.name(index) not in self.symbols:
            return
        warming = bool(change["flags"] & CHANGE_HISTORY)
        if warming and index not in self.newest:
            first = max(first, first + change["rows"] - 1)
        begin = max(first, self.source.first(index))
        for i in range(begin, min(change["first"] + change["rows"], self.source.head(index))):
            yield self._deliver(index, i, i < change["first"] + change["bars"] and not warming)

    def drain(self):
        if self.history:
            yield from filter(None, self._past())
        while True:
            data = self.reader.get()
            if data is None:
                return
            if isinstance(data, Lost):
                yield data
                continue
            yield from filter(None, self._changed(self.source.decode_change(data)))


def attach(instance="main"):
    """Attaches to an instance; the daemon need not be running. NotThere when it has never run here."""
    return Bus(instance)
