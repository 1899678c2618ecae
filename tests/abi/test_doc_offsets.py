#!/usr/bin/python3
"""docs/abi.md says what the compiler says: offset, type and presence of every field, size of every struct, value of every
constant, the worked example of the hash. The compiler is $CC, else cc."""
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOC = ROOT / "docs" / "abi.md"
INCLUDE = ROOT / "shm" / "include"

PROGRAM = """
#include <stddef.h>
#include <stdio.h>
#include "polygond/abi.h"
#define NAME(x) _Generic((x), uint8_t: "u8", uint16_t: "u16", uint32_t: "u32", uint64_t: "u64", int64_t: "i64", double: "f64", \\
    char *: "char", uint8_t *: "u8", uint16_t *: "u16", struct pgd_bar: "pgd_bar", struct pgd_day: "pgd_day", default: "?")
#define ARRAY(x) _Generic((x), char *: 1, uint8_t *: 2, uint16_t *: 3, default: 0)
#define SIZE(s) printf("size %%s %%zu\\n", #s, sizeof(struct s));
#define FIELD(s, m) { static struct s r; int kind = ARRAY(r.m); printf("field %%s %%s %%zu %%s", #s, #m, offsetof(struct s, m), \\
    NAME(r.m)); if (kind) printf("[%%zu]", sizeof r.m / (kind == 3 ? 2 : 1)); puts(""); }
#define VALUE(c) printf("value %%s %%llu\\n", #c, (unsigned long long)(c));
int main(void)
{
%s
    return 0;
}
"""


def compiled(calls):
    """What a program of these calls prints."""
    with tempfile.TemporaryDirectory() as folder:
        source, binary = os.path.join(folder, "a.c"), os.path.join(folder, "a")
        with open(source, "w", encoding="utf-8") as f:
            f.write(PROGRAM % "\n".join(calls))
        subprocess.run(shlex.split(os.environ.get("CC", "cc")) + ["-std=c17", "-I%s" % INCLUDE, source, "-o", binary], check=True)
        return subprocess.run([binary], check=True, capture_output=True, text=True).stdout.splitlines()


def header_names():
    """({struct: [fields]}, [constants]) as abi.h declares them; reserved bytes left out."""
    text = re.sub(r"/\*.*?\*/", "", (INCLUDE / "polygond" / "abi.h").read_text(), flags=re.S)
    structs = {}
    for name, body in re.findall(r"^struct (\w+) \{(.*?)^\};", text, re.S | re.M):
        fields = re.findall(r"(\w+)(?:\[\w+\])?;", body)
        structs[name] = [f for f in fields if not f.startswith("reserved")]
    constants = re.findall(r"\b(PGD_\w+) = ", text) + re.findall(r"^#define (PGD_\w+) +\S", text, re.M)
    return structs, constants


def fnv(text):
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return h


def read_doc(text):
    """({struct: {field: (offset, type)}}, {struct: bytes}, {constant: value})"""
    fields, sizes, values, struct = {}, {}, {}, None
    for line in text.splitlines():
        heading = re.match(r"#+ (?:`(\w+)`, (\d+) bytes)?", line)
        if heading:
            struct = heading[1]
            if struct:
                sizes[struct], fields[struct] = int(heading[2]), {}
        row = re.match(r"\| (\d+) \| ([\w\[\]]+) \| `(\w+)` \| (?:const|main|engine|main or engine) \|", line)
        if row and struct:
            fields[struct][row[3]] = (int(row[1]), row[2])
        for name, value in re.findall(r"`(PGD_\w+)` (?:\||=) (\w+)", line):
            values[name] = int(value, 0)
    return fields, sizes, values


def faults():
    text = DOC.read_text()
    fields, sizes, values = read_doc(text)
    structs, constants = header_names()
    calls = ["SIZE(%s)" % s for s in structs] + ["FIELD(%s, %s)" % (s, m) for s in structs for m in structs[s]]
    for line in compiled(calls + ["VALUE(%s)" % c for c in constants]):
        what, name, *rest = line.split()
        if what == "size" and sizes.pop(name, None) != int(rest[0]):
            yield "%s is %s bytes" % (name, rest[0])
        if what == "field" and fields.get(name, {}).pop(rest[0], None) != (int(rest[1]), rest[2]):
            yield "%s.%s is %s at %s" % (name, rest[0], rest[2], rest[1])
        if what == "value" and values.pop(name, None) != int(rest[0]):
            yield "%s is %s" % (name, rest[0])
    left = list(sizes) + ["%s.%s" % (s, m) for s in fields for m in fields[s]] + list(values)
    yield from ("%s is not in abi.h" % name for name in left)
    example = re.search(r"the hash of `(\w+)` is `(\w+)`; with (\d+) slots the search begins at slot (\d+)", text)
    if not example or (fnv(example[1]), fnv(example[1]) % int(example[3])) != (int(example[2], 0), int(example[4])):
        yield "the example of the hash"


def main():
    found = list(faults())
    for fault in found:
        print("FAIL docs/abi.md: " + fault)
    if not found:
        fields, sizes, values = read_doc(DOC.read_text())
        print("ok   %d structs, %d fields, %d constants" % (len(sizes), sum(map(len, fields.values())), len(values)))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
