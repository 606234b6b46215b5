#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# What cannot be done is refused with one line that says why, exit status 1, and nothing left
# behind.
# guest: memory=256M cpus=1 timeout=240 kernel=6.12
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$PLEAT_SOURCE/tests/guest/lib.sh"

pleat=$bin/pleat
before=$(leftovers)
nothing_left() {
  wait_until 10 same_leftovers || fail "left behind after $1: $(diff <(echo "$before") <(leftovers))"
}
same_leftovers() { [ "$(leftovers)" = "$before" ]; }
# refused WHAT PATTERN COMMAND...: refused, in one line, with nothing left.
refused() {
  check_refused "$@"
  [ "$(wc -l <"$work/refused.out")" = 1 ] || fail "$1: more than one line: $(cat "$work/refused.out")"
  nothing_left "$1"
}

step "not enough of something"
# The build may lie in a folder that only its owner can enter.
install -D -t "$work/anyone" "$pleat" "${pleat}d"
refused "not root" "root|permission|permitted" \
  setpriv --reuid=65534 --regid=65534 --clear-groups "$work/anyone/pleat" create r0 --size 16M
refused "no right to lock memory" "lock" \
  prlimit --memlock=65536 setpriv --bounding-set=-ipc_lock,-sys_resource "$pleat" create r0 --size 16M --transport ublk
refused "a size beyond memory" "memory" "$pleat" create r0 --size 1T --transport ublk

step "no driver"
mv /dev/ublk-control /dev/ublk-control.away
refused "no ublk" "ublk" "$pleat" create r0 --size 16M --transport ublk
mv /dev/fuse /dev/fuse.away
refused "no transport at all" "ublk|loop|fuse" "$pleat" create r0 --size 16M
mv /dev/fuse.away /dev/fuse
device=$(timeout 60 "$pleat" create r0 --size 16M 2>"$work/notes") || fail "without ublk: exit status $?"
echo "   without ublk: $(cat "$work/notes")"
case $device in /dev/loop*) ;; *) fail "without ublk the device is $device" ;; esac
check "removing it" "$pleat" remove r0
nothing_left "a loop device"
mv /dev/ublk-control.away /dev/ublk-control

step "taken"
make_device taken 16M --id 5
before=$(leftovers)
refused "a name that is taken" "taken" "$pleat" create taken --size 16M --transport ublk
refused "a number that is taken" "5" "$pleat" create r0 --size 16M --transport ublk --id 5

step "removing a device in use"
check mkfs mkfs.ext4 -q "$device"
mkdir -p /tmp/mnt
check mount mount "$device" /tmp/mnt
refused "mounted" "/tmp/mnt" "$pleat" remove taken
check umount umount /tmp/mnt
swap_on "$device"
refused "swap" "swap" "$pleat" remove taken
check swapoff swapoff "$device"
tail -f /dev/null 3<"$device" &
holder=$!
sleep 0.5
refused "open" "$holder|tail" "$pleat" remove taken
kill "$holder"
wait "$holder" || true
refused "no such device" "no device" "$pleat" remove nosuch
check "removing it in the end" "$pleat" remove taken
