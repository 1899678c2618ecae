#!/usr/bin/python3
"""A reader of polygond's segments made from docs/abi.md alone: the example for other languages.

    read_segments.py INSTANCE             what there is
    read_segments.py INSTANCE SYMBOL      and the newest rows, forming bar, day figures, latest trade and quote of a symbol

Nothing here but Python's standard library; every step is written out. Sections are named as in docs/abi.md.
"""
import ctypes
import fcntl
import json
import math
import mmap
import os
import platform
import struct
import sys
import threading
import time

MAGIC = 0x444E4F47594C4F50
BOARD, BARS, TAPE = 1, 2, 3                                                    # PGD_KIND_...
STALE = 2                                                                      # PGD_STATE_STALE
REC_BAR, REC_UNIT, REC_SERIES, REC_SLOT, REC_LOG, REC_DAY, REC_SYMBOL, REC_GAP = range(1, 9)
TYPES = {1: "B", 2: "H", 3: "I", 4: "Q", 5: "q", 6: "d", 7: "s"}               # PGD_U8 ... PGD_CHAR, as struct spells them
LINE = 64
SERIES_LIMIT, CAPACITY_LIMIT = 65536, 16777216
RESERVE = 64
TRIES = 128

# Layouts of the tables in docs/abi.md, from offset 0 on.
HEADER = struct.Struct("<QHHIQIIQQIIIIIIq32s32sQ")
FIELD = struct.Struct("<24s16sIHHI")
BOARD_CONST = struct.Struct("<IIQQQIIQQIIQ")
BOARD_RUN = struct.Struct("<112s32sIIq96s")
BARS_GEOMETRY = struct.Struct("<16sqIIQQQQQQQIIQ")
TAPE_CONST = struct.Struct("<QIIQII")
ERROR = struct.Struct("<QQqq24s200s")
CONN = struct.Struct("<QIIqqqQQII96s96s")
ENTRY = struct.Struct("<32sIIQ")
COUNTER = struct.Struct("<40sQ")


class NotReady(Exception):
    """Being created, or just succeeded: try again."""


class Damaged(Exception):
    """This is no segment that can be read."""


# An acquire fence. On x86 loads are not reordered and the interpreter is no compiler that would; elsewhere giving a lock back
# (release) and taking it (acquire) keeps the loads before it before the loads after it.
_lock = threading.Lock()


def fence():
    if platform.machine() not in ("x86_64", "AMD64"):
        with _lock:
            pass
        with _lock:
            pass


def text(raw):
    return raw.split(b"\0", 1)[0].decode("ascii", "replace")


def need(condition, what):
    if not condition:
        raise Damaged(what)


# ---------------------------------------------------------------------------------------------------------------- attach, schema

class Segment:
    """A mapped segment whose header and schema have been checked. Only the copies made here are used later."""

    def __init__(self, instance, name, kind):
        fd = os.open("/dev/shm/polygond.%s.%s" % (instance, name), os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.name, self.fd, self.size = name, fd, os.fstat(fd).st_size
            if self.size == 0:
                raise NotReady(name)
            need(self.size >= HEADER.size, "too short")
            self.map = mmap.mmap(fd, self.size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
            # Words are loaded through these views: one aligned load each.
            self.u64 = memoryview(self.map)[:self.size & ~7].cast("Q")
            self.u32 = memoryview(self.map)[:self.size & ~7].cast("I")
            self._check(kind)
        except Exception:
            os.close(fd)
            raise

    def _check(self, kind):
        magic = self.u64[0]
        fence()
        if magic == 0:
            raise NotReady(self.name)
        need(magic == MAGIC, "no segment")
        (_, major, _, its_kind, size, header_size, _, _, _, geometry, geometry_size, schema, count, stride, _, _, _, _,
         self.directory) = HEADER.unpack_from(self.map, 0)
        need(major == 1, "ABI %d" % major)
        need(its_kind == kind and size == self.size and header_size >= 256, "not what was asked for")
        self.inside(geometry, 1, 0, geometry_size)
        need(stride >= 64 and count <= 4096, "schema")
        self.inside(schema, count, stride, 64)
        self.geometry, self.geometry_size = geometry, geometry_size
        # record -> name -> (offset, struct of the value, is it an array); unknown records and types are skipped.
        self.fields = {}
        for i in range(count):
            name, _, offset, record, kind_, n = FIELD.unpack_from(self.map, schema + i * stride)
            if kind_ in TYPES and 0 < n <= 65536:
                value = struct.Struct("<%d%s" % (n, TYPES[kind_]))
                self.fields.setdefault(record, {})[text(name)] = (offset, value, n > 1 and kind_ != 7)
        if self.stale():
            raise NotReady(self.name)

    def inside(self, offset, count, stride, size):
        """`count` items of `size` bytes, `stride` apart, lie in the file. Python's integers do not wrap; yours may."""
        need(count == 0 or (offset | stride) % 8 == 0 and offset + (count - 1) * stride + size <= self.size, "out of bounds")

    def stale(self):
        return self.u32[28 // 4] == STALE

    def epoch(self):
        return self.u64[32 // 8]

    def decode(self, record, data):
        """A copied record as {field name: value}, by the schema."""
        out = {}
        for name, (offset, value, array) in self.fields.get(record, {}).items():
            need(offset + value.size <= len(data), "schema: " + name)
            got = value.unpack_from(data, offset)
            out[name] = got if array else text(got[0]) if value.format.endswith("s") else got[0]
        return out

    def copy(self, offset, size):
        return self.map[offset:offset + size]

    def guarded(self, offset, size):
        """Guarded records: word 0 before and after the copy must be the same and even. None: never written, or left odd."""
        for tries in range(TRIES):
            seq = self.u64[offset // 8]
            fence()
            if seq == 0:
                return None
            if seq % 2 == 0:
                data = self.copy(offset, size)
                fence()
                if self.u64[offset // 8] == seq:
                    return data
            if tries > 16:
                time.sleep(0)
        return None

    def close(self):
        self.u64.release()
        self.u32.release()
        self.map.close()
        os.close(self.fd)


# ------------------------------------------------------------------------------------------------------------------------- board

def fnv1a(data):
    h = 0xCBF29CE484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return h


class Board:
    def __init__(self, instance):
        self.segment = s = Segment(instance, "board", BOARD)
        need(s.geometry_size >= 512, "board")
        (self.symbol_max, self.slots, self.hash, self.symbols, self.counters_at, self.counter_count, self.error_max, self.errors_at,
         self.segments_at, self.segment_max, self.conn_max, self.conns_at) = BOARD_CONST.unpack_from(s.map, s.geometry)
        need(0 < self.symbol_max <= SERIES_LIMIT and self.slots > self.symbol_max and self.slots & (self.slots - 1) == 0, "board")
        s.inside(self.hash, 1, 0, self.slots * 4)
        s.inside(self.symbols, self.symbol_max, 128, 128)
        s.inside(self.counters_at, self.counter_count, 64, 64)
        s.inside(self.errors_at, self.error_max, 256, 256)
        s.inside(self.segments_at, self.segment_max, 64, 64)
        s.inside(self.conns_at, self.conn_max, 256, 256)
        self.gaps_at, self.gap_max = struct.unpack_from("<QI", s.map, s.geometry + 328)
        s.inside(self.gaps_at, self.gap_max, 128, 128)

    def _count(self, offset, most):
        """A count in the file, never trusted beyond its table."""
        n = self.segment.u64[(self.segment.geometry + offset) // 8]
        fence()
        return min(n, most)

    def symbol_count(self):
        return self._count(456, self.symbol_max)

    def find(self, name):
        """Index of a symbol, None if there is none."""
        raw = name.encode("ascii")
        if not 0 < len(raw) < 48:
            return None
        count, at = self.symbol_count(), fnv1a(raw) & (self.slots - 1)
        for _ in range(self.slots):
            value = self.segment.u32[self.hash // 4 + at]
            fence()
            if value == 0:
                return None
            if value <= count and self.segment.copy(self.symbols + (value - 1) * 128, len(raw) + 1) == raw + b"\0":
                return value - 1
            at = (at + 1) & (self.slots - 1)
        return None

    def symbol(self, index):
        need(index < self.symbol_count(), "no such symbol")
        return self.segment.decode(REC_SYMBOL, self.segment.copy(self.symbols + index * 128, 128))

    def run(self):
        """Who the daemon is. The texts are not guarded; they are of this epoch once it can be seen."""
        s = self.segment
        epoch = s.epoch()
        fence()
        data = s.copy(s.geometry, 512)
        control, version, pid, state, started, engine = BOARD_RUN.unpack_from(data, 72)
        heartbeat, = struct.unpack_from("<q", data, 448)
        return {"epoch": epoch, "control": text(control), "version": text(version), "pid": pid, "run_state": state,
                "started_ns": started, "engine": text(engine), "heartbeat_ns": heartbeat}

    def alive(self):
        """Asks for the owner's lock, never takes one: struct flock {type, whence, start, len, pid}."""
        ask = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
        return struct.unpack("hhqqi4x", fcntl.fcntl(self.segment.fd, 36, ask))[0] != fcntl.F_UNLCK  # 36: F_OFD_GETLK

    def heartbeat_age(self):
        """Seconds since the daemon's last beat."""
        return (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - self.run()["heartbeat_ns"]) / 1e9

    def counters(self):
        rows = (COUNTER.unpack_from(self.segment.map, self.counters_at + 64 * i) for i in range(self.counter_count))
        return {text(name): value for name, value in rows}

    def errors(self):
        out = []
        for i in range(self._count(464, self.error_max)):
            data = self.segment.guarded(self.errors_at + 256 * i, 256)
            if data:
                _, count, first, last, where, said = ERROR.unpack_from(data)
                if count:
                    out.append({"count": count, "first_ns": first, "last_ns": last, "where": text(where), "text": text(said)})
        return out

    def segments(self):
        n = self._count(472, self.segment_max)
        rows = (ENTRY.unpack_from(self.segment.map, self.segments_at + 64 * i) for i in range(n))
        return {text(name): {"kind": kind, "size": size} for name, kind, _, size in rows}

    def conn(self, cluster):
        if cluster >= self.conn_max:
            return None
        data = self.segment.guarded(self.conns_at + 256 * cluster, 256)
        if not data:
            return None
        keys = "cluster state since_ns next_try_ns last_frame_ns connects drops unacked attempts url reason".split()
        out = dict(zip(keys, CONN.unpack_from(data)[1:]))
        return dict(out, url=text(out["url"]), reason=text(out["reason"]))


    def gaps(self):
        """Holes by id."""
        rows = [self.segment.guarded(self.gaps_at + 128 * i, 128) for i in range(self._count(488, self.gap_max))]
        found = [self.segment.decode(REC_GAP, data) for data in rows if data]
        return sorted((g for g in found if g["id"]), key=lambda g: g["id"])


# ------------------------------------------------------------------------------------------------------------------------- tapes

class Tape:
    """Follows one tape: `trades`, `quotes`, or the change log of a bars segment."""

    def __init__(self, segment, offset, record, oldest=False):
        self.segment, self.offset, self.record = segment, offset, record
        segment.inside(offset, 1, 0, 256)
        self.slots, self.capacity, slot, self.latest_at, self.latest_count, stride = TAPE_CONST.unpack_from(
            segment.map, offset)
        need(slot == LINE and 256 <= self.capacity <= CAPACITY_LIMIT and self.capacity & (self.capacity - 1) == 0, "tape")
        segment.inside(self.slots, self.capacity, LINE, LINE)
        if self.latest_at == 0:
            self.latest_count = 0
        need(self.latest_count == 0 or stride == LINE and self.latest_count <= SERIES_LIMIT, "latest")
        segment.inside(self.latest_at, self.latest_count, LINE, LINE)
        self.lost = 0
        self.next = self.head()
        if oldest:
            self.next = max(0, min(self.next, self.reserve() + RESERVE - self.capacity))

    def reserve(self):
        return self.segment.u64[(self.offset + 64) // 8]

    def head(self):
        return self.segment.u64[(self.offset + 128) // 8]

    def notify(self):
        return self.segment.u32[(self.offset + 192) // 4]

    def get(self):
        """The next record as a dict, with its number as "record"; None: nothing there yet; an int: so many were lost."""
        at = self.slots + (self.next & (self.capacity - 1)) * LINE
        commit = self.segment.u64[at // 8]
        fence()
        if commit <= self.next:
            return None
        data = self.segment.copy(at, LINE)
        fence()
        reserve = self.reserve()
        if commit != self.next + 1 or reserve - self.next > self.capacity:
            resume = reserve - self.capacity // 2
            lost, self.next = resume - self.next, resume
            self.lost += lost
            return lost
        self.next += 1
        return dict(self.segment.decode(self.record, data), record=self.next - 1)

    def latest(self, symbol):
        """The latest record of a symbol, None if there is none. Word 0 is a sequence word here."""
        data = self.segment.guarded(self.latest_at + symbol * LINE, LINE) if symbol < self.latest_count else None
        return self.segment.decode(self.record, data) if data and any(data[8:]) else None

    def wait(self, seen, seconds):
        """Sleeps while the notify word is `seen`. The caller loads `seen` first, then looks for records, then comes here."""
        futex_wait(self.segment, self.offset + 192, seen, seconds)


def open_tape(instance, name, oldest=False):
    s = Segment(instance, name, TAPE)
    need(s.geometry_size >= 64, "tape")
    return Tape(s, struct.unpack_from("<Q", s.map, s.geometry)[0], REC_SLOT, oldest)


# -------------------------------------------------------------------------------------------------------------------------- bars

class Bars:
    def __init__(self, instance, timespan):
        self.instance = instance
        self.segment = s = Segment(instance, "bars." + timespan, BARS)
        need(s.geometry_size >= 240, "bars")
        (name, self.span_ms, self.series_max, self.capacity, self.series, self.series_stride, self.bar, self.bar_stride, self.unit,
         self.unit_stride, self.rows_stride, self.unit_size, self.columns, self.log_at) = BARS_GEOMETRY.unpack_from(s.map, s.geometry)
        self.timespan = text(name)
        need(0 < self.series_max <= SERIES_LIMIT and 0 < self.capacity <= CAPACITY_LIMIT, "bars")
        need(self.bar_stride >= LINE and self.unit_stride >= self.unit_size >= 8 * (self.columns + 1), "bars")
        need((self.bar_stride | self.unit_stride) % 8 == 0 and self.series_stride >= 256, "bars")
        s.inside(self.series, self.series_max, self.series_stride, 256)
        s.inside(self.bar, self.series_max, self.rows_stride, (self.capacity - 1) * self.bar_stride + LINE)
        s.inside(self.unit, self.series_max, self.rows_stride, (self.capacity - 1) * self.unit_stride + self.unit_size)

    def indicators(self):
        """Names of the columns, in the order of the schema."""
        return [name for name in self.segment.fields.get(REC_UNIT, {}) if name != "tag"]

    def _series(self, symbol):
        need(0 <= symbol < self.series_max, "no such series")
        return self.series + symbol * self.series_stride

    def head(self, symbol):
        value = self.segment.u64[self._series(symbol) // 8]
        fence()
        return value

    def first(self, symbol):
        """The oldest row that can be read: one less than `capacity` rows are usable."""
        return max(0, self.head(symbol) - self.capacity + 1)

    def status(self, symbol):
        return self.segment.decode(REC_SERIES, self.segment.copy(self._series(symbol), 256))

    def row(self, symbol, i):
        """Row i: its bar, and its indicators by name under "indicators", None while they are not computed. None: not there yet,
        gone, or left half written by a daemon that died."""
        s, k = self.segment, i % self.capacity
        bar = self.bar + symbol * self.rows_stride + k * self.bar_stride
        unit = self.unit + symbol * self.rows_stride + k * self.unit_stride
        for tries in range(TRIES):
            if not i < self.head(symbol) < i + self.capacity:
                return None
            meta = s.u64[bar // 8 + 7]
            fence()
            data = s.copy(bar, 56) + meta.to_bytes(8, "little")
            computed = s.u64[self._series(symbol) // 8 + 8]
            fence()
            units = self._units(unit, i, meta & 0xFFFF) if i < computed else None
            fence()
            again = s.u64[bar // 8 + 7]
            fence()
            if meta == again and meta % 2 == 0 and i + self.capacity > self.head(symbol):
                return dict(s.decode(REC_BAR, data), row=i, indicators=units)
            if tries > 16:
                time.sleep(0)
        return None

    def _units(self, at, i, rev):
        tag = self.segment.u64[at // 8]
        fence()
        if tag >> 32 != i & 0xFFFFFFFF or tag >> 16 & 0xFFFF != rev:
            return None
        data = self.segment.copy(at, self.unit_size)
        fence()
        if self.segment.u64[at // 8] != tag:
            return None
        out = self.segment.decode(REC_UNIT, data)
        del out["tag"]
        return out

    def forming(self, symbol):
        """The bar being made, None if there is none. Two equal copies: its revision can come round."""
        at = self._series(symbol) + 128
        for _ in range(TRIES):
            copies = []
            for _ in range(2):
                meta = self.segment.u64[at // 8 + 7]
                fence()
                copies.append(self.segment.copy(at, 56) + meta.to_bytes(8, "little"))
                fence()
            if copies[0] == copies[1] and meta % 2 == 0 and self.segment.u64[at // 8 + 7] == meta:
                bar = self.segment.decode(REC_BAR, copies[0])
                return bar if meta and bar["t"] else None
        return None

    def day(self, symbol):
        data = self.segment.guarded(self._series(symbol) + 192, LINE)
        day = self.segment.decode(REC_DAY, data) if data else None
        return day if day and day["t"] else None

    def log(self, oldest=False):
        return Tape(self.segment, self.log_at, REC_LOG, oldest)


# -------------------------------------------------------------------------------------------------------------------------- wait

class Timespec(ctypes.Structure):
    _fields_ = [("sec", ctypes.c_long), ("nsec", ctypes.c_long)]


class Buffer(ctypes.Structure):
    """Py_buffer, of which only the address matters."""
    _fields_ = [("buf", ctypes.c_void_p), ("obj", ctypes.py_object), ("rest", ctypes.c_byte * 128)]


FUTEX = {"x86_64": 202, "aarch64": 98, "riscv64": 98}
FUTEX_WAIT = 0  # the shared kind: with FUTEX_PRIVATE_FLAG the daemon's wake would never arrive


def address_of(mapping):
    view = Buffer()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(mapping), ctypes.byref(view), 0)
    address = view.buf
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(view))
    return address


def futex_wait(segment, offset, seen, seconds):
    number = FUTEX.get(platform.machine())
    if number is None:
        time.sleep(min(seconds, 0.01))
        return
    limit = Timespec(int(seconds), int(seconds % 1 * 1e9))
    ctypes.CDLL(None).syscall(ctypes.c_long(number), ctypes.c_void_p(address_of(segment.map) + offset), ctypes.c_int(FUTEX_WAIT),
                              ctypes.c_uint32(seen), ctypes.byref(limit), None, ctypes.c_int(0))


# -------------------------------------------------------------------------------------------------------------------------- show

def show(what):
    """One line of JSON; NaN is null."""
    def clean(v):
        if isinstance(v, dict):
            return {k: clean(x) for k, x in v.items()}
        return None if isinstance(v, float) and math.isnan(v) else v
    print(json.dumps(clean(what)))


def main(argv):
    if len(argv) not in (2, 3):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    board = Board(argv[1])
    segments = board.segments()
    show(dict(board.run(), alive=board.alive(), symbols=board.symbol_count(), segments=segments))
    index = board.find(argv[2]) if len(argv) == 3 else None
    if index is None:
        return 0 if len(argv) == 2 else 1
    show(board.symbol(index))
    for name, entry in segments.items():
        if entry["kind"] == BARS:
            bars = Bars(argv[1], name[len("bars."):])
            # Indexes count only in a segment of the board's own directory.
            if bars.segment.directory == board.segment.directory:
                head = bars.head(index)
                for i in range(max(bars.first(index), head - 5), head):
                    show({"segment": name, "row": bars.row(index, i)})
                show({"segment": name, "forming": bars.forming(index), "day": bars.day(index)})
        elif entry["kind"] == TAPE:
            tape = open_tape(argv[1], name)
            if tape.segment.directory == board.segment.directory:
                show({"segment": name, "latest": tape.latest(index)})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
