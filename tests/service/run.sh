#!/bin/sh
# The service on a real systemd: boots one in a throw-away overlay of this machine (systemd-nspawn) and runs
# tests/service/inside.sh as a unit there. BUILD names the folder of polygond, polyctl and polysim (default build/release).
# Exit 77 with a reason where that cannot be done.
set -eu
cd "$(dirname "$0")/../.."
build=$(realpath -m "${BUILD:-build/release}")
T=$(mktemp -d "${TMPDIR:-/tmp}/polygond-service.XXXXXX")
R=$T/root
trap 'rm -rf --one-file-system "$T"' EXIT

skip() {
    echo "skipped: $1"
    exit 77
}
fail() {
    echo "FAIL $1"
    exit 1
}

# systemd-analyze returns 0 for misspelt keys: its silence is what counts. It wants to see the program.
check_unit() {
    command -v systemd-analyze >/dev/null 2>&1 || skip "no systemd-analyze (package systemd)"
    mkdir "$T/verify"
    sed "s|^ExecStart=/usr/local/bin/polygond|ExecStart=/bin/true|" systemd/polygond.service >"$T/verify/polygond.service"
    systemd-analyze verify --man=no "$T/verify/polygond.service" >"$T/verify.out" 2>&1 || :
    [ ! -s "$T/verify.out" ] || { cat "$T/verify.out"; fail "systemd-analyze verify has something to say"; }
    echo "ok   systemd-analyze verify is silent"
    sed -i 's/^RestartSec=/RestartSecc=/' "$T/verify/polygond.service"
    systemd-analyze verify --man=no "$T/verify/polygond.service" >"$T/verify.out" 2>&1 || :
    [ -s "$T/verify.out" ] || fail "systemd-analyze verify would not have seen a misspelt key"
}
check_unit

[ "$(id -u)" -eq 0 ] || skip "booting a systemd needs root"
command -v systemd-nspawn >/dev/null 2>&1 || skip "no systemd-nspawn (package systemd-container)"
[ -x /usr/bin/dbus-daemon ] || skip "no dbus-daemon (package dbus)"
for p in polygond polyctl polysim; do
    [ -x "$build/$p" ] || skip "$build/$p is not built"
done

mkdir -p "$T/share/bin" "$R"
cp "$build/polygond" "$build/polyctl" "$build/polysim" "$T/share/bin/"
cp -r systemd config tests/service/inside.sh "$T/share/"
cat >"$T/svc-test.service" <<'EOF'
[Unit]
Description=polygond service test
SuccessAction=exit
FailureAction=exit
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'exec sh /test/inside.sh >/test/log 2>&1'
TimeoutStartSec=200
EOF
cat >"$T/svc-test.target" <<'EOF'
[Unit]
Requires=svc-test.service basic.target
After=basic.target
AllowIsolate=yes
EOF

export T R
code=0
timeout --kill-after=10 240 unshare --mount sh -c '
    mount --make-rprivate / && mkdir -p /run/systemd/nspawn && mount -t tmpfs tmpfs /run/systemd/nspawn && mount --bind / "$R" &&
    exec systemd-nspawn --quiet -D "$R" --boot --volatile=overlay --register=no --keep-unit --console=pipe --link-journal=no \
        --private-network --machine="polygond-test-$$" --bind="$T"/share:/test \
        --bind-ro="$T"/svc-test.service:/run/systemd/system/svc-test.service \
        --bind-ro="$T"/svc-test.target:/run/systemd/system/svc-test.target systemd.unit=svc-test.target' \
    </dev/null >"$T/console" 2>&1 || code=$?
if [ ! -e "$T/share/log" ]; then
    cat "$T/console"
    skip "systemd did not boot in a container here"
fi
cat "$T/share/log"
[ "$code" -eq 0 ] || fail "inside.sh ended with $code"
