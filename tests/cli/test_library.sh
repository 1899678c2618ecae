#!/bin/sh
# libpolygond as others see it: the header alone compiles as C and C++, the shared object needs libc only and exports exactly what the
# header declares, and the pkg-config file serves a build.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$root/build/release}
so=$build/libpolygond.so.1
[ -e "$so" ] || { echo "not built: $so"; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
header=$root/clients/include/polygond/polygond.h
cat >"$tmp/use.c" <<'C'
#include <polygond/polygond.h>
int main(void)
{
    return pgd_strerror(PGD_ERR_UNKNOWN)[0] == 'u' && pgd_version()[0] ? 0 : 1;
}
C
cp "$tmp/use.c" "$tmp/use.cpp"
inc="-I$root/clients/include -I$root/shm/include"
warn="-Wall -Wextra -Wpedantic -Werror"
for std in c11 c17; do
    ${CC:-cc} -std=$std $warn $inc "$tmp/use.c" "$so" "-Wl,-rpath,$(cd "$build" && pwd)" -o "$tmp/use"
    "$tmp/use"
done
if command -v g++ >/dev/null; then
    for std in c++11 c++17 c++20; do
        g++ -std=$std $warn $inc "$tmp/use.cpp" "$so" "-Wl,-rpath,$(cd "$build" && pwd)" -o "$tmp/use"
        "$tmp/use"
    done
fi
nm -D --defined-only "$so" | sed -n 's/@.*//; s/.* T //p' | sort >"$tmp/exported"
sed -n 's/^PGD_API.*[ *]\(pgd_[a-z_]*\)(.*/\1/p' "$header" | sort >"$tmp/declared"
diff -u "$tmp/declared" "$tmp/exported"
[ "$(wc -l <"$tmp/declared")" -gt 30 ]
needed=$(objdump -p "$so" | sed -n 's/ *NEEDED *//p')
for lib in $needed; do
    case $lib in
    libc.so.*|ld-linux*|libasan*|libubsan*|libtsan*) ;;
    *) echo "needs $lib"; exit 1 ;;
    esac
done
mkdir -p "$tmp/pc"
sed "s|@PREFIX@|$tmp/prefix|; s|@VERSION@|0.0|" "$root/clients/lib/polygond.pc.in" >"$tmp/pc/libpolygond.pc"
! grep -q @ "$tmp/pc/libpolygond.pc"
if command -v pkg-config >/dev/null; then
    PKG_CONFIG_PATH=$tmp/pc pkg-config --cflags --libs libpolygond | grep -q -- "-I$tmp/prefix/include.*-L$tmp/prefix/lib.*-lpolygond"
fi
echo "ok"
