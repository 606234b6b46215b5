#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# What is discarded gives its memory back to the system: by blkdiscard, by a file system that
# discards as it deletes, and by write-zeroes.
# guest: memory=256M cpus=2 timeout=120 kernel=6.12
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$PLEAT_SOURCE/tests/guest/lib.sh"

make_device trash 128M
held() { if [ "$TRANSPORT" = zram ]; then stat_field trash mem_used_total; else store_bytes; fi; }

# Memory may lag behind, and the store keeps a reserve (8 MiB) and what it takes to find pages.
slack=$((12 << 20))
given_back() { [ "$(held)" -le $((held_empty + slack)) ]; }
expect_empty() {
  [ "$(stat_field trash orig_data_size)" = 0 ] || fail "after $1: mm_stat $(mm_stat trash)"
  [ "$(stat_field trash compr_data_size)" = 0 ] || fail "after $1: mm_stat $(mm_stat trash)"
  [ "$(stat_field trash mem_used_total)" = 0 ] || fail "after $1: mm_stat $(mm_stat trash)"
  wait_until 15 given_back || fail "after $1 the store still holds $(held) bytes, empty it held $held_empty"
}
fill() {
  check "writing 48 MiB" dd if=/dev/urandom of="$device" bs=1M count=48 oflag=direct
  held_full=$(held)
  echo "   full: $held_full bytes held; mm_stat $(mm_stat trash)"
  [ "$held_full" -ge $((held_empty + (36 << 20))) ] || fail "48 MiB of random pages take $held_full bytes?"
}

held_empty=$(held)
step "blkdiscard ($TRANSPORT; empty: $held_empty bytes held)"
fill
check blkdiscard blkdiscard "$device"
expect_empty blkdiscard

step "write-zeroes"
fill
check "blkdiscard --zeroout" blkdiscard --zeroout "$device"
[ "$(stat_field trash mem_used_total)" = 0 ] || fail "after write-zeroes: mm_stat $(mm_stat trash)"
check "reads as zeros" cmp -n $((48 << 20)) "$device" /dev/zero
check blkdiscard blkdiscard "$device"
expect_empty "write-zeroes and blkdiscard"

step "a file system mounted with -o discard"
check mkfs mkfs.ext4 -q "$device"
mkdir -p /tmp/mnt
check mount mount -o discard "$device" /tmp/mnt
sync
before=$(stat_field trash orig_data_size)
dd if=/dev/urandom of=/tmp/mnt/file bs=1M count=24 status=none
sync
full=$(stat_field trash orig_data_size)
rm /tmp/mnt/file
sync
shrunk() { [ "$(stat_field trash orig_data_size)" -le $((before + (2 << 20))) ]; }
wait_until 30 shrunk || fail "deleting 24 MiB left orig_data_size at $(stat_field trash orig_data_size), was $full"
echo "   orig_data_size $before -> $full -> $(stat_field trash orig_data_size)"
check umount umount /tmp/mnt
remove_device trash
