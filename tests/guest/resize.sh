#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# A device gets another size while a file system is mounted on it, and keeps it when its worker dies;
# what would lose pages, or do nothing, is refused.
# guest: memory=256M cpus=2 timeout=240
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$PLEAT_SOURCE/tests/guest/lib.sh"

pleat=$bin/pleat
size_of() { blockdev --getsize64 "$device"; }
# expect_size BYTES: the kernel and the daemon say so.
expect_size() {
  [ "$(size_of)" = "$1" ] || fail "the kernel says $(size_of) bytes, not $1"
  [ "$(metric r0 pleat_disk_size_bytes)" = "$1" ] ||
    fail "the daemon says $(metric r0 pleat_disk_size_bytes) bytes, not $1"
}

step "made ($TRANSPORT)"
make_device r0 32M --size-max 128M
expect_size $((32 << 20))
check mkfs mkfs.ext4 -q "$device"
mkdir -p /tmp/mnt
check mount mount "$device" /tmp/mnt
check "writing a file" dd if=/dev/urandom of=/tmp/mnt/file bs=1M count=16 status=none
sum=$(sha256sum </tmp/mnt/file)

if [ "$TRANSPORT" = ublk ] && ! "$pleat" stat r0 | grep -q UPDATE_SIZE; then
  step "this kernel cannot"
  check_refused "growing" "6.16" "$pleat" set r0 --size 64M
  expect_size $((32 << 20))
  check umount umount /tmp/mnt
  remove_device r0
  exit 0
fi

step "grown while it is mounted"
queue=/sys/block/${device#/dev/}/queue
limits=$(cat "$queue/nr_requests" "$queue/max_sectors_kb")
check "growing" "$pleat" set r0 --size 96M
expect_size $((96 << 20))
[ "$(cat "$queue/nr_requests" "$queue/max_sectors_kb")" = "$limits" ] || fail "the queue's limits have changed"
check resize2fs resize2fs "$device"
check "writing a second file" dd if=/dev/urandom of=/tmp/mnt/second bs=1M count=40 status=none
second=$(sha256sum </tmp/mnt/second)
check sync sync
echo 3 >/proc/sys/vm/drop_caches
[ "$(sha256sum </tmp/mnt/file)" = "$sum" ] || fail "the first file has changed"
[ "$(sha256sum </tmp/mnt/second)" = "$second" ] || fail "the second file has changed"

step "refused"
check_refused "more than it was made for" "128M" "$pleat" set r0 --size 256M
check_refused "smaller while it is mounted" "mounted on /tmp/mnt" "$pleat" set r0 --size 64M
check umount umount /tmp/mnt
check_refused "smaller than what is stored" "is stored" "$pleat" set r0 --size 4M
expect_size $((96 << 20))

if [ "$TRANSPORT" = ublk ]; then
  step "its worker dies"
  two_stand_bys() { [ "$(metric r0 pleat_stand_bys)" = 2 ]; }
  taken_over() { [ "$(metric r0 pleat_take_overs_total)" = "$1" ]; }
  wait_until 30 two_stand_bys || fail "no stand-bys"
  kill -9 "$(worker_of r0)"
  wait_until 30 taken_over 1 || fail "nobody took over"
  expect_size $((96 << 20))
  check "growing again, by the successor" "$pleat" set r0 --size 112M
  expect_size $((112 << 20))
  wait_until 30 two_stand_bys || fail "no stand-bys"
  kill -9 "$(worker_of r0)"
  wait_until 30 taken_over 2 || fail "nobody took over"
  expect_size $((112 << 20))
fi
check mount mount "$device" /tmp/mnt
[ "$(sha256sum </tmp/mnt/second)" = "$second" ] || fail "the second file has changed"
check umount umount /tmp/mnt

step "shrunk once nothing is stored beyond"
check blkdiscard blkdiscard "$device"
check "shrinking" "$pleat" set r0 --size 8M
expect_size $((8 << 20))
! dd if=/dev/zero of="$device" bs=4k count=1 seek=2048 oflag=direct 2>/dev/null || fail "a write beyond the end succeeded"

step "not while it is swap"
swap_on "$device"
check_refused "growing swap" "in use as swap" "$pleat" set r0 --size 64M
expect_size $((8 << 20))
check swapoff swapoff "$device"
check "growing" "$pleat" set r0 --size 64M
expect_size $((64 << 20))
swap_on "$device"
grep -Eq "^${device}[[:space:]].*[[:space:]]655[0-9][0-9][[:space:]]" /proc/swaps || fail "swap has not the new size: $(cat /proc/swaps)"
check swapoff swapoff "$device"
remove_device r0
