#!/bin/sh
# Runs as a unit on the systemd that tests/service/run.sh boots: installs polygond's unit as an operator would and watches
# how the two live together.
set -eu
unit=polygond.service
PATH=/test/bin:$PATH

ok() { echo "ok   $1"; }
fail() {
    echo "FAIL $1"
    systemctl status $unit --no-pager -l || :
    journalctl -u $unit -n 60 --no-pager || :
    exit 1
}
until_true() { # what, command...
    what=$1
    shift
    n=0
    until "$@" >/dev/null 2>&1; do
        n=$((n + 1))
        [ $n -lt 300 ] || fail "$what: waited 30 s"
        sleep 0.1
    done
    ok "$what"
}
prop() { systemctl show -P "$1" $unit; }
inode() { stat -c %i /dev/shm/polygond.main.bars.1m; }
is() { [ "$1" = "$2" ] || fail "$3: $1, not $2"; ok "$3"; }
# A board keeps what it said when its daemon died: only that of a running one counts.
live() { systemctl is-active --quiet $unit && polyctl list | grep -q '^AAPL .*live'; }
logged() { [ -n "$(journalctl -o cat -n 1 "$@")" ]; }

# ---------------------------------------------------------------------------------------------- as an operator installs
ip link set lo up 2>/dev/null || :
mkdir -p /etc/sysusers.d
cp /test/systemd/sysusers.d/polygond.conf /etc/sysusers.d/
systemd-sysusers
useradd --no-create-home --groups polygond reader
useradd --no-create-home stranger
install -d -m 755 /etc/polygond /etc/polygond/polygond.yaml.d
install -m 644 /test/config/polygond.yaml /etc/polygond/
(umask 077 && echo service-test-key >/etc/polygond/key)
sed 's|^ExecStart=/usr/local/bin/|ExecStart=/test/bin/|' /test/systemd/polygond.service >/etc/systemd/system/$unit
# As the unit says, but impatient: half a minute each is too long for a test.
mkdir /etc/systemd/system/$unit.d
printf '[Service]\nWatchdogSec=2\nRestartSec=100ms\nLimitMEMLOCK=8M\n' >/etc/systemd/system/$unit.d/test.conf
systemctl daemon-reload

mkdir /run/sim
systemd-run --quiet --unit=sim polysim --ports-file /run/sim/ports --cert-dir /run/sim --key service-test-key --speed 60 --start now
until_true "the stand-in exchange is there" test -s /run/sim/ports
port=$(sed -n 's/.*https=\([0-9]*\).*/\1/p' /run/sim/ports)
chmod 755 /run/sim
cat >/etc/polygond/polygond.yaml.d/test.yaml <<EOF
stream: {url: "wss://localhost:$port", ca_file: /run/sim/ca.pem, backoff_min_ms: 100, backoff_max_ms: 500}
rest: {url: "https://localhost:$port"}
clusters: [{name: stocks, symbols: [AAPL]}]
bus: {symbols: 8}
EOF
chmod 644 /run/sim/ca.pem

# ------------------------------------------------------------------------------------------------------ start, READY=1
systemctl start $unit || fail "start"
is "$(prop ActiveState)" active "Type=notify: started when it said READY=1"
is "$(prop StatusText)" running "its status is shown"
until_true "AAPL is live" live
pid=$(prop MainPID)
is "$(stat -c %U /proc/"$pid"/environ)" root "it cannot be looked into (not dumpable)"
is "$(ps -o user= -p "$pid" | tr -d ' ')" polygond "it runs as its own user"
! tr '\0' '\n' </proc/"$pid"/environ | grep -q service-test-key || fail "key in the environment"
! tr '\0' '\n' </proc/"$pid"/cmdline | grep -q service-test-key || fail "key in the arguments"
! journalctl -u $unit -o export | grep -q service-test-key || fail "key in the journal"
! grep -q service-test-key /dev/shm/polygond.* || fail "key in shared memory"
ok "the credential's key is nowhere to be seen"
is "$(stat -c '%a %U %G' /dev/shm/polygond.main.board)" "640 polygond polygond" "segments: mode, user and group"
is "$(stat -c '%a %U %G' /run/polygond/main.sock)" "660 polygond polygond" "control socket: mode, user and group"

# -------------------------------------------------------------------------------------------------------------- journal
logged POLYGOND_EVENT=READY MESSAGE_ID=5b0e8c9f6a1d4a0e9b7f0d3c2e514a02 POLYGOND_INSTANCE=main PRIORITY=5 || fail "journal fields"
ok "journal: MESSAGE_ID, PRIORITY, POLYGOND_EVENT, POLYGOND_INSTANCE"

# -------------------------------------------------------------------------------------------------------------- readers
runuser -u reader -- polyctl get AAPL -n 1 >/dev/null || fail "a member of the group cannot read"
ok "a member of the group reads"
! runuser -u stranger -- cat /dev/shm/polygond.main.board >/dev/null 2>/tmp/denied || fail "a stranger can read"
grep -q 'Permission denied' /tmp/denied || fail "a stranger got another error: $(cat /tmp/denied)"
ok "a stranger gets EACCES"
! runuser -u reader -- sh -c ': >>/dev/shm/polygond.main.board' 2>/dev/null || fail "a reader can open for writing"
ok "a reader cannot open for writing"

# --------------------------------------------------------------------------------------------------------------- reload
systemctl reload $unit || fail "reload"
until_true "reload is done and said so" sh -c 'journalctl -u polygond.service -o cat | grep -q "^reloaded"'
is "$(prop MainPID)" "$pid" "reload keeps the process"

# --------------------------------------------------------------------------------- crash, hang, stop: segments survive
before=$(inode)
kill -KILL "$pid"
until_true "kill -9: restarted" sh -c '[ "$(systemctl show -P NRestarts polygond.service)" = 1 ]'
until_true "AAPL is live again" live
is "$(inode)" "$before" "the same inode after kill -9"
pid=$(prop MainPID)
kill -STOP "$pid"
until_true "SIGSTOP: killed by the watchdog, restarted" sh -c '[ "$(systemctl show -P NRestarts polygond.service)" = 2 ]'
logged -u $unit -g 'Watchdog timeout' || logged -u init.scope -g 'Watchdog timeout' || fail "no word of the watchdog"
until_true "AAPL is live after that" live
is "$(inode)" "$before" "the same inode after the watchdog"
systemctl stop $unit
is "$(prop Result)" success "stop is clean"
is "$(inode)" "$before" "the segments stay after stop"
! [ -e /run/polygond/main.sock ] || fail "socket left behind"
systemctl start $unit
until_true "AAPL is live after a start" live
is "$(inode)" "$before" "the same inode after start"
polyctl get AAPL -n 1 | grep -q . || fail "no rows"
is "$(prop NRestarts)" 0 "no restart but those"
systemctl stop $unit

# --------------------------------------------------------------------------------------- what does not mend is not retried
echo 'instanse: main' >/etc/polygond/polygond.yaml.d/wrong.yaml
! systemctl start $unit 2>/dev/null || fail "started with a wrong configuration"
is "$(prop ExecMainStatus)" 78 "wrong configuration: exit 78"
logged -u $unit -g 'wrong.yaml:1: instanse: unknown key' || fail "no word of file, line and key"
ok "the journal names file, line and key"
sleep 1
is "$(prop ActiveState) $(prop NRestarts)" "failed 0" "and no restart"
rm /etc/polygond/polygond.yaml.d/wrong.yaml
echo another-key >/etc/polygond/key
systemctl reset-failed $unit
systemctl start $unit || :
until_true "wrong key: given up" sh -c '[ "$(systemctl show -P ActiveState polygond.service)" = failed ]'
is "$(prop ExecMainStatus)" 77 "exit 77"
is "$(prop NRestarts)" 0 "and no restart"
echo "service test passed"
