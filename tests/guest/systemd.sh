#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# The units under systemd: whatever it does to the service of a device in use, programs keep every
# byte in swap, and the unit is active in the end; a device that nothing uses goes with its unit; a
# shutdown takes the swap away before the daemon.
# guest: memory=192M cpus=1 timeout=300 init=systemd kernel=7.3
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$PLEAT_SOURCE/tests/guest/lib.sh"

units=/run/systemd/system
install_units
printf '[Service]\nWatchdogSec=4\n' >"$units/pleatd@.service.d/watchdog.conf"
echo 'PLEATD_ARGS=--size 128M' >/run/swap0.conf
echo 'PLEATD_ARGS=--size 32M --transport loop' >/run/loop0.conf
cat >"$units/other.target" <<EOF
[Unit]
AllowIsolate=yes
DefaultDependencies=no
EOF
check daemon-reload systemctl daemon-reload
# It exits 0 for a key that it does not know, too.
verified=$(systemd-analyze verify --man=no pleatd@swap0.service pleat-swap@swap0.service pleat-shutdown.service 2>&1) || true
[ -z "$verified" ] || fail "systemd-analyze verify: $verified"

show() { systemctl show --property "$2" --value "pleatd@$1"; }
main() { show swap0 MainPID; }
# shellcheck disable=SC2317  # wait_until calls it
# Whether the unit is active, nothing is to be done for it, and its main process is another one.
has_other_main() {
  local state
  state=$(systemctl show --property ActiveState --property Job --property MainPID pleatd@swap0)
  echo "$state" | grep -q '^ActiveState=active' && ! echo "$state" | grep -Eq "^(Job=[1-9]|MainPID=($1|0)\$)"
}
# must_be_served WHAT OLD-MAIN
must_be_served() {
  wait_until 40 has_other_main "$2" || fail "$1: $(systemctl status --no-pager --full pleatd@swap0)"
  [ -n "$(worker_of swap0)" ] || fail "$1: nobody serves"
  kill -0 "$checker" || fail "$1: the checker has ended"
  grep -q "^$device " /proc/swaps || fail "$1: no swap any more"
  echo "   $1: main process $2, then $(main)"
}
nothing_is_left() {
  wait_until 5 store_is_gone || fail "the store's memory is left over: $(cat /proc/sysvipc/shm)"
  [ -z "$(leftovers)" ] || fail "left over: $(leftovers)"
  [ "$(show "$1" ActiveState)" = inactive ] || fail "after a stop: $(show "$1" ActiveState)"
}

make_cgroup limited 24M
step "a device in use"
check start systemctl start pleatd@swap0
device=$(device_of swap0)
grep -q '^0::/system.slice/pleatd@swap0.service$' "/proc/$(worker_of swap0)/cgroup" || fail "the worker is not in the unit"
swap_on "$device"
in_cgroup limited "$helpers/memory_checker" --mib 32 --processes 1 --ready "$work/ready" --stop "$work/stop" &
checker=$!
wait_until 60 [ -e "$work/ready" ] || fail "memory_checker does not get its memory"
last=$(main) && check restart systemctl restart pleatd@swap0
must_be_served "restart" "$last"
last=$(main) && kill -STOP "$last"
must_be_served "a guardian that hangs" "$last"
last=$(main) && systemctl kill --signal KILL pleatd@swap0
must_be_served "kill -9 of all" "$last"
last=$(main) && systemctl stop pleatd@swap0
[ "$(show swap0 ActiveState)" = failed ] || fail "after a stop that is refused: $(show swap0 ActiveState)"
grep -q 'in use as swap' /run/pleat/units.log || fail "a refusal without a reason"
{ kill -0 "$checker" && [ -n "$(worker_of swap0)" ]; } || fail "a stop that is refused ends the service"
check start systemctl start pleatd@swap0
must_be_served "stop, refused, and start" "$last"
if [ -n "$long" ]; then
  last=$(main) && kill -9 "$last"
  must_be_served "kill -9 of the guardian" "$last"
  last=$(main) && check reload systemctl reload pleatd@swap0
  must_be_served "reload" "$last"
fi
last=$(main) && check isolate systemctl isolate other.target
[ "$(main)" = "$last" ] || fail "isolate: another main process"
check daemon-reexec systemctl daemon-reexec
must_be_served "isolate and daemon-reexec" 1
touch "$work/stop"
wait "$checker" || fail "memory_checker: exit status $?"
check swapoff swapoff "$device"

step "a device that nothing uses"
for name in ${long:+swap0} loop0; do
  check start systemctl start "pleatd@$name"
  echo "$name" | dd of="$(device_of "$name")" bs=4k conv=sync oflag=direct 2>/dev/null
  check restart systemctl restart "pleatd@$name"
  dd if="$(device_of "$name")" bs=4k count=1 iflag=direct 2>/dev/null | grep -q "$name" || fail "a restart loses the pages of $name"
  [ "$(show "$name" ActiveState)" = active ] || fail "$name: $(show "$name" ActiveState) after a restart"
done
check stop systemctl stop pleatd@swap0 pleatd@loop0
nothing_is_left swap0
nothing_is_left loop0

step "swap that is a unit"
check start systemctl start pleat-swap@swap0
device=$(device_of swap0)
last=$(main) && kill -9 "$last"
wait_until 40 has_other_main "$last" || fail "not active: $(show swap0 ActiveState)"
grep -q "^$device .*100\$" /proc/swaps || fail "the end of the daemon ends the swap"
check stop systemctl stop pleatd@swap0
[ "$(wc -l </proc/swaps)" = 1 ] || fail "swap is left: $(cat /proc/swaps)"
nothing_is_left swap0

step "a shutdown"
check start systemctl start pleat-swap@swap0
# A swap whose daemon has ended first is still there, and so is a daemon whose swap has not ended.
cat >/run/last-words <<EOF
#!/bin/bash
exec >/dev/tty1 2>&1
for _ in {1..100}; do grep -sqx pleatd /proc/[0-9]*/comm || break; sleep 0.1; done
cat /proc/swaps
grep -sHx pleatd /proc/[0-9]*/comm || [ "\$(wc -l </proc/swaps)" != 1 ] || echo "pleat-guest: exit status 0"
EOF
chmod +x /run/last-words
cat >"$units/last-words.service" <<EOF
[Unit]
DefaultDependencies=no
After=umount.target pleat-shutdown.service
Before=final.target
[Service]
Type=oneshot
ExecStart=/run/last-words
EOF
mkdir "$units/final.target.wants"
ln -s ../last-words.service "$units/final.target.wants"
check daemon-reload systemctl daemon-reload
systemctl start --no-block poweroff.target
sleep 120
fail "no shutdown"
