#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Beside udev: it opens every device when that appears and whenever somebody has written to it, which
# must not keep a device from being removed; systemd has a unit for the device as long as it is there,
# also while its worker is replaced.
# guest: memory=192M cpus=1 timeout=300 init=systemd kernel=7.3
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$PLEAT_SOURCE/tests/guest/lib.sh"

if ! command -v udevadm >/dev/null; then
  echo "skipped: no udev here; tools/newer-systemd fetches one"
  exit 77
fi
install_units
echo 'PLEATD_ARGS=--size 64M' >/run/swap0.conf
check daemon-reload systemctl daemon-reload
# As udev's own rules do it for loop devices; those of 254 leave ublk's alone. What has a device open is
# slow, so that a removal meets it.
mkdir -p /run/udev/rules.d
cat >/run/udev/rules.d/60-guest.rules <<'EOF'
ACTION!="remove", SUBSYSTEM=="block", KERNEL=="ublkb*", OPTIONS+="watch", IMPORT{builtin}="blkid"
ACTION!="remove", SUBSYSTEM=="block", KERNEL=="ublkb*|loop*", PROGRAM="/bin/sh -c 'exec 3<$devnode; sleep 0.3'"
EOF

step "$(udevadm --version | sed 's/^/udev /')"
check start systemctl start systemd-udevd
check trigger udevadm trigger --type=all --action=add
check settle udevadm settle --timeout=60

state() { systemctl show --property ActiveState --value "$1"; }
has_state() { [ "$(state "$1")" = "$2" ]; }
# property_is DEVICE NAME VALUE: what udev has found out about it.
property_is() { udevadm info --query=property "$1" | grep -qx "$2=$3"; }
# shellcheck disable=SC2317  # wait_until calls it
has_other_worker() { [ -n "$(worker_of swap0)" ] && [ "$(worker_of swap0)" != "$1" ]; }

step "swap that is a unit"
check start systemctl start pleat-swap@swap0
device=$(device_of swap0)
unit=dev-${device#/dev/}.device
wait_until 20 has_state "$unit" active || fail "no $unit: $(udevadm info "$device")"
check trigger udevadm trigger --settle --action=change "$device"
property_is "$device" ID_FS_TYPE swap || fail "udev has not read it: $(udevadm info "$device")"
changed=$(systemctl show --property InactiveExitTimestampMonotonic --value "$unit")
worker=$(worker_of swap0)
kill -9 "$worker"
wait_until 20 has_other_worker "$worker" || fail "nobody serves"
worker=$(worker_of swap0)
check restart systemctl restart pleatd@swap0
wait_until 20 has_other_worker "$worker" || fail "no restart"
check settle udevadm settle --timeout=60
[ "$(systemctl show --property InactiveExitTimestampMonotonic --value "$unit")" = "$changed" ] ||
  fail "$unit was inactive meanwhile"
grep -q "^$device " /proc/swaps || fail "no swap any more"
check stop systemctl stop pleatd@swap0
[ "$(wc -l </proc/swaps)" = 1 ] || fail "swap is left: $(cat /proc/swaps)"
wait_until 20 has_state "$unit" inactive || fail "$unit is left"
[ "$(state pleatd@swap0) $(state pleat-swap@swap0)" = "inactive inactive" ] ||
  fail "after a stop: $(state pleatd@swap0) $(state pleat-swap@swap0)"

# As soon as there is a device, and as soon as it was written to.
for TRANSPORT in ublk loop; do
  step "$TRANSPORT: removal while udev has the device open"
  for ((round = 0; round < ${long:+4}0 + 6; ++round)); do
    make_device once 16M
    [ $((round % 2)) = 0 ] || check mkswap mkswap "$device"
    remove_device once
  done
done
check settle udevadm settle --timeout=60
wait_until 5 store_is_gone || fail "the store's memory is left over: $(cat /proc/sysvipc/shm)"
[ -z "$(leftovers)" ] || fail "left over: $(leftovers)"
