#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Writeback frees no memory or loses a page: of a device of ours, and of kernel zram, whose pages are
# read where they are, overwritten and discarded; of ours with a worker that is killed meanwhile,
# over a device that is full and one that gives back other bytes; and under swap.
# guest: memory=192M cpus=1 timeout=180 kernel=7.3
# Reads of pages that the backing device has lost.
# expect-kernel: I/O error, dev ublk
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$PLEAT_SOURCE/tests/guest/lib.sh"

pages=768
data=$work/data
# Compressible, incompressible, compressible.
{ head -c 1M "$bin/pleatd" && head -c 1M /dev/urandom && head -c 1M "$bin/pleat"; } >"$data"

# make_disk SIZE: a kernel zram, since a file in memory might be in the swap that it is to relieve.
make_disk() {
  local id
  id=$(cat /sys/class/zram-control/hot_add)
  echo "$1" >"/sys/block/zram$id/disksize"
  disk=/dev/zram$id
}
bd_stat() {
  if [ "$TRANSPORT" = zram ]; then
    awk -v field="$2" '{ print $field }' "/sys/block/${device#/dev/}/bd_stat"
  else
    timeout 30 "$bin/pleat" stat "$1" --bd-stat | awk -v field="$2" '{ print $field }'
  fi
}
same_pages() { check "$1" cmp -n $((pages * 4096)) "$data" "$device"; }
# Past the page cache, which would have the pages otherwise.
drop_cache() { echo 1 >/proc/sys/vm/drop_caches; }

for TRANSPORT in $TRANSPORT zram; do
  step "$TRANSPORT: idle pages, read where they are, overwritten, discarded"
  make_disk 16M
  make_device cold 64M --writeback-device "$disk"
  argument=$([ "$TRANSPORT" = zram ] && echo "$device" || echo cold)
  check "writing" dd if="$data" of="$device" bs=1M oflag=direct status=none
  before=$(stat_field cold mem_used_total)
  check "marking" "$bin/pleat" idle "$argument" --all
  said=$("$bin/pleat" writeback "$argument" --type idle) || fail "pleat writeback: exit status $?"
  echo "   $said; mm_stat $(mm_stat cold)"
  [[ $said =~ ^$argument:\ ([0-9]+)\ pages\ written\ back ]] && [ "${BASH_REMATCH[1]}" -ge $((pages / 2)) ] ||
    fail "pleat writeback said '$said'"
  [ "$(stat_field cold mem_used_total)" -lt $((before / 10)) ] || fail "no memory was freed: $before before"
  [ "$(stat_field cold orig_data_size)" = $((pages * 4096)) ] || fail "pages are not counted: $(mm_stat cold)"
  drop_cache
  same_pages "the pages are read back"
  [ "$(bd_stat cold 2)" -gt 0 ] || fail "nothing was read from the disk"
  blocks=$(bd_stat cold 1)
  check "overwriting" dd if="$data" of="$device" bs=4k skip=64 seek=64 count=300 oflag=direct conv=notrunc status=none
  [ "$(bd_stat cold 1)" -lt "$blocks" ] || fail "overwritten pages keep their blocks"
  drop_cache
  same_pages "the pages are read back after that"
  check blkdiscard blkdiscard "$device"
  [ "$(bd_stat cold 1)" = 0 ] || fail "discarded pages keep $(bd_stat cold 1) blocks"
  remove_device cold
done
TRANSPORT=ublk

step "in use elsewhere, full, limited"
make_disk 1M
check_refused "no such disk" "cannot use the writeback device" "$bin/pleat" create cold --size 64M --writeback-device /dev/nothing
check "mkfs" mkfs.ext4 -q -F "$disk"
mkdir -p "$work/mnt" && mount "$disk" "$work/mnt"
check_refused "mounted" "is in use" "$bin/pleat" create cold --size 64M --writeback-device "$disk"
umount "$work/mnt"
make_device cold 64M --writeback-device "$disk"
check "writing" dd if="$data" of="$device" bs=1M oflag=direct status=none
check "a limit" "$bin/pleat" set cold writeback-limit=64K
check_refused "limited" "limit is used up" "$bin/pleat" writeback cold --type huge
[ "$(bd_stat cold 3)" = 16 ] || fail "$(bd_stat cold 3) blocks were written, not 16"
check "no limit" "$bin/pleat" set cold writeback-limit=none
check_refused "full" "is full" "$bin/pleat" writeback cold --pages 0-$((pages - 1))
drop_cache
same_pages "the pages are there, on the disk and in memory"

step "other bytes than were written"
# Some of the incompressible pages were written first, and then those from 0 on.
dd if=/dev/zero of="$disk" bs=4k seek=1 count=18 conv=notrunc oflag=direct status=none
drop_cache
bad=0
for page in {0..20}; do
  if dd if="$device" bs=4k skip="$page" count=1 iflag=direct status=none >"$work/page" 2>"$work/dd.out"; then
    cmp -s "$work/page" <(dd if="$data" bs=4k skip="$page" count=1 status=none) || fail "page $page has other bytes"
  else
    bad=$((bad + 1))
    grep -q "Input/output error" "$work/dd.out" || fail "page $page: $(cat "$work/dd.out")"
  fi
done
echo "   $bad pages gave an I/O error"
[ "$bad" -ge 5 ] && [ "$bad" -lt 21 ] || fail "$bad pages failed"
[ "$(metric cold pleat_corrupt_pages_total)" = "$bad" ] || fail "$(metric cold pleat_corrupt_pages_total) are counted"
check "writing them anew" dd if="$data" of="$device" bs=1M oflag=direct conv=notrunc status=none
same_pages "all pages are there again"
remove_device cold

step "a disk that hangs keeps only its own pages waiting"
make_device disk 16M
disk=$device
make_device cold 64M --writeback-device "$disk"
check "writing" dd if="$data" of="$device" bs=1M oflag=direct status=none
check "writing back" "$bin/pleat" writeback cold --pages 0-99
# shellcheck disable=SC2046  # one word a process
enter frozen $(processes_of disk)
echo 1 >/sys/fs/cgroup/frozen/cgroup.freeze
dd if="$device" of="$work/slow" bs=4k count=20 iflag=direct status=none &
reader=$!
# For longer than a queue may be silent before its worker is taken for stuck.
for page in 300 301 302 303 304 305 306 307; do
  check "reading page $page" timeout 5 dd if="$device" of="$work/page" bs=4k skip=$page count=1 iflag=direct status=none
  check "writing page $page" timeout 5 dd if="$work/page" of="$device" bs=4k seek=$page count=1 oflag=direct conv=notrunc status=none
  sleep 1
done
[ -d "/proc/$reader" ] || fail "the pages were read although their disk hangs"
echo 0 >/sys/fs/cgroup/frozen/cgroup.freeze
wait "$reader" || fail "the slow pages: exit status $?"
check "the slow pages" cmp -n $((20 * 4096)) "$data" "$work/slow"
[ "$(metric cold pleat_take_overs_total)" = 0 ] || fail "a worker was taken for stuck"
drop_cache
same_pages "all pages"
remove_device cold
remove_device disk

step "under swap, with workers that are killed"
make_disk 128M
make_device swap0 512M --writeback-device "$disk"
swap=$device
swap_on "$swap"
echo 0 >/proc/sys/vm/page-cluster
make_cgroup checked 12M
in_cgroup checked nice -n 19 "$helpers/memory_checker" --mib 32 --processes 2 --ready "$work/ready" --stop "$work/stop" &
checker=$!
wait_until 60 [ -e "$work/ready" ] || fail "memory_checker does not get its memory"
for round in 1 2 3 4; do
  check "marking" timeout 30 "$bin/pleat" idle swap0 --all
  if [ $((round % 2)) = 0 ]; then
    before=$(metric swap0 pleat_take_overs_total)
    "$bin/pleat" writeback swap0 --type idle >"$work/said" 2>&1 &
    sleep "0.0$((RANDOM % 10))"
    kill -9 "$(worker_of swap0)"
    # Its request may have been answered, or not.
    wait $! || true
    has_successor() { [ "$(metric swap0 pleat_take_overs_total)" -gt "$before" ]; }
    wait_until 30 has_successor || fail "nobody took over"
  else
    said=$(timeout 60 "$bin/pleat" writeback swap0 --type idle) || fail "pleat writeback: exit status $?"
    echo "   $said"
  fi
  sleep 1
  [ -d "/proc/$checker" ] || fail "memory_checker has ended"
done
check "upgrade" timeout 60 "$bin/pleat" upgrade swap0
touch "$work/stop"
wait "$checker" || fail "memory_checker: exit status $?"
echo "   $(pages_swapped_out) pages swapped out; bd_stat $("$bin/pleat" stat swap0 --bd-stat)"
written=$(bd_stat swap0 3)
[ "$written" -gt 500 ] || fail "$written blocks were written"
[ "$(metric swap0 pleat_backing_failures_total)" = 0 ] || fail "the disk failed"
end_swap swap0 "$swap"
[ "$(bd_stat swap0 1)" = 0 ] || fail "$(bd_stat swap0 1) blocks are in use"
remove_device swap0
wait_until 15 store_is_gone || fail "the store's memory is left over"
