#!/bin/bash
# Runs every model as it is, which must hold, and with each of its BREAK_x, which must fail. One line each; about half a
# minute. Exit 77 when the tools are not there.
set -u
cd "$(dirname "$0")" || exit 1
for tool in spin gcc g++; do
    command -v "$tool" >/dev/null || { echo "$tool is not installed"; exit 77; }
done
[ -e /usr/include/relacy/relacy.hpp ] || { echo "relacy-dev is not installed"; exit 77; }
here=$PWD
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

# The header is most of the work of compiling a model: compiled once.
relacy_flags="-std=c++14 -O0 -w"
mkdir "$work/relacy" && g++ $relacy_flags -x c++-header /usr/include/relacy/relacy.hpp -o "$work/relacy/relacy.hpp.gch" || exit 1

# Exit 0: the model holds; 1: it finds a fault; 2: it could not be run.
spin_model() { # file [define]
    local dir=$work/$1${2:-}
    mkdir -p "$dir" && cd "$dir" || return 2
    cp "$here/$1" . && spin -a ${2:+-D$2} "$1" >log 2>&1 && gcc -O2 -w -DSAFETY -DMEMLIM=512 -o pan pan.c >>log 2>&1 || return 2
    ./pan -m100000 >>log 2>&1
    grep -q 'max search depth too small' log && return 2
    if grep -q 'errors: 0' log; then return 0; fi
    if grep -q 'errors: [1-9]' log; then return 1; fi
    return 2
}

relacy_model() { # file [define]
    local binary=$work/$1${2:-}
    g++ $relacy_flags -I"$work" -DITERATIONS=200000 ${2:+-D$2} -o "$binary" "$here/$1" >"$binary.log" 2>&1 || return 2
    "$binary" >>"$binary.log" 2>&1 && return 0
    grep -q 'USER ASSERT FAILED' "$binary.log" && return 1
    return 2
}

judge() { # expected found name
    case "$1$2" in
    00) echo "ok   $3: holds" ;;
    11) echo "ok   $3: fails, as it must" ;;
    01) echo "FAIL $3: does not hold"; failed=1 ;;
    10) echo "FAIL $3: holds although it is broken"; failed=1 ;;
    *) echo "FAIL $3: could not be run"; failed=1 ;;
    esac
}

for file in *.pml *.cpp; do
    kind=spin_model
    [ "${file##*.}" = cpp ] && kind=relacy_model
    ("$kind" "$file")
    judge 0 $? "$file"
    for name in $(grep -o 'ifn\?def BREAK_[A-Z_]*' "$file" | sed 's/.* //' | sort -u); do
        ("$kind" "$file" "$name")
        judge 1 $? "$file $name"
    done
done
exit $failed
