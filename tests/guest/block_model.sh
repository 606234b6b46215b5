#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Random writes, reads, discards and write-zeroes against a model of the device, whole pages and
# parts of pages.
# guest: memory=256M cpus=2 timeout=180 kernel=6.12
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$PLEAT_SOURCE/tests/guest/lib.sh"

operations=$([ -n "$long" ] && echo 20000 || echo 1500)
for block in 4096 512; do
  [ "$TRANSPORT" != zram ] || [ "$block" = 4096 ] || continue
  step "blocks of $block bytes ($TRANSPORT)"
  make_device model0 24M --block-size "$block"
  "$helpers/block_checker" "$device" --operations "$operations" --grain "$block" --seed "$block" ||
    fail "block_checker: exit status $?"
  echo "   mm_stat $(mm_stat model0)"
  step "blkdiscard frees everything"
  check blkdiscard blkdiscard "$device"
  [ "$(stat_field model0 orig_data_size)" = 0 ] || fail "after blkdiscard: $(mm_stat model0)"
  [ "$(stat_field model0 mem_used_total)" = 0 ] || fail "after blkdiscard: $(mm_stat model0)"
  check "reads as zeros" cmp -n $((24 << 20)) "$device" /dev/zero
  remove_device model0
done
