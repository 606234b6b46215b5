#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Compaction frees nothing, or changes a page: `pleat compact` of a device of ours, and of kernel
# zram, after discards that leave a page in four. Or `pleat idle` marks others than the unused
# pages, or `pleat recompress` saves nothing, makes no groups of neighbours, or changes a page.
# guest: memory=256M cpus=2 timeout=180 kernel=6.12
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$PLEAT_SOURCE/tests/guest/lib.sh"

pages=512
data=/tmp/data
expected=/tmp/expected
# Programs are pages of many sizes once they are compressed.
head -c $((pages * 4096)) < <(cat "$bin/pleatd" "$bin/pleat" /usr/lib/*/libstdc++.so.6 /usr/lib/*/libc.so.6 2>/dev/null) >"$data"
[ "$(stat -c %s "$data")" = $((pages * 4096)) ] || fail "the programs are smaller than $pages pages"

# three_in_four PATH OPTION...: fio on three pages, then none on one, to the end; one process for all.
three_in_four() {
  check "fio on $1" fio --name=holes --filename="$1" "${@:2}" --bs=12k --size=$((pages * 4096)) \
    --io_size=$((pages * 3072)) --ioengine=psync --thread
}
cp "$data" "$expected"
three_in_four "$expected" --rw=write:4k --zero_buffers --fallocate=none

# fill NAME: the data on $device with three pages in four discarded.
fill() {
  check "writing" dd if="$data" of="$device" bs=1M oflag=direct status=none
  full=$(stat_field "$1" mem_used_total)
  three_in_four "$device" --rw=trim:4k --direct=1
  check "a page in four is left" cmp -n $((pages * 4096)) "$expected" "$device"
}
# compact NAME ARGUMENT: compacts the device and compares its pages.
compact() {
  local before after said
  before=$(mm_stat "$1")
  said=$("$bin/pleat" compact "$2") || fail "pleat compact $2: exit status $?"
  after=$(mm_stat "$1")
  echo "   $said; mm_stat $before -> $after"
  [[ $said =~ ^$2:\ ([0-9]+)\ pages\ \(.*\)\ freed$ ]] || fail "pleat compact said '$said'"
  local freed=${BASH_REMATCH[1]}
  # What a device of ours frees by itself may come on top.
  [ "$(field_of "$after" pages_compacted)" -ge $(($(field_of "$before" pages_compacted) + freed)) ] ||
    fail "$freed pages freed, but pages_compacted went from '$before' to '$after'"
  [ "$(field_of "$after" orig_data_size)" = $((pages / 4 * 4096)) ] || fail "pages were lost: $after"
  [ "$(field_of "$after" mem_used_total)" -le $((full / 2)) ] || fail "full it took $full, now '$after'"
  check "the pages are as they were" cmp -n $((pages * 4096)) "$expected" "$device"
}

# idle NAME ARGUMENT...: marks pages and says how many are idle.
idle() {
  local said
  said=$("$bin/pleat" idle "$@") || fail "pleat idle $*: exit status $?"
  [[ $said =~ ^$1:\ ([0-9]+)\ pages\ \(.*\)\ are\ idle$ ]] || fail "pleat idle $* said '$said'"
  echo "${BASH_REMATCH[1]}"
}
# check_idle NAME: a page that is read is idle no more, until all are marked again.
check_idle() {
  local all
  all=$(idle "$1" --all)
  [ "$all" -gt $((pages / 8)) ] && [ "$all" -le $((pages / 4)) ] || fail "$all pages are idle"
  check "reading a page" dd if="$device" of=/dev/null bs=4096 skip=3 count=1 iflag=direct
  [ "$(idle "$1" --age 3600)" = $((all - 1)) ] || fail "a page that was read is idle, or another is not"
  [ "$(idle "$1" --all)" = "$all" ] || fail "not all pages are idle again"
}

# check_recompress NAME ARGUMENT: all pages are idle, and become smaller by as much as is said.
check_recompress() {
  local before after said
  before=$(stat_field "$1" compr_data_size)
  said=$("$bin/pleat" recompress "$2" --type idle) || fail "pleat recompress $2: exit status $?"
  after=$(stat_field "$1" compr_data_size)
  echo "   $said; compr_data_size $before -> $after"
  [ "$after" -lt "$before" ] || fail "recompression saved nothing"
  [[ $said =~ ^$2:\ .*saved ]] || fail "pleat recompress said '$said'"
  check "the pages are as they were" cmp -n $((pages * 4096)) "$expected" "$device"
}

# check_groups NAME: whole neighbours are compressed together, and read, overwritten and discarded by themselves.
check_groups() {
  local grouped
  check "writing" dd if="$data" of="$device" bs=1M oflag=direct status=none
  check "recompressing" "$bin/pleat" recompress "$1"
  grouped=$(metric "$1" pleat_grouped_pages)
  [ "$grouped" -ge $((pages / 4)) ] || fail "only $grouped pages are grouped"
  check "groups read as they were" cmp -n $((pages * 4096)) "$data" "$device"
  cp "$data" "$expected.groups"
  three_in_four "$expected.groups" --rw=write:4k --zero_buffers --fallocate=none
  three_in_four "$device" --rw=trim:4k --direct=1
  check "a page of each group is left" cmp -n $((pages * 4096)) "$expected.groups" "$device"
  [ "$(metric "$1" pleat_grouped_pages)" -le $((grouped / 2)) ] || fail "discarded pages are still grouped"
}

for TRANSPORT in $TRANSPORT zram; do
  step "$TRANSPORT"
  make_device dense 64M --recompress lz4hc,block=16384
  fill dense
  if [ "$TRANSPORT" = zram ]; then
    compact dense "$device"
    [ "$(stat_field dense pages_compacted)" -gt 0 ] || fail "kernel zram was not compacted"
    check "zram, all pages" "$bin/pleat" idle "$device" --all
    check_recompress dense "$device"
    check "zram, old pages" "$bin/pleat" idle "${device#/dev/}" --age 3600
  else
    compact dense dense
    compact dense "$device"
    [ "$(stat_field dense pages_compacted)" -gt 0 ] || fail "nothing was compacted"
    check_idle dense
    check_recompress dense dense
    # None of these pages has its neighbours.
    [ "$(metric dense pleat_grouped_pages)" = 0 ] || fail "pages are grouped without their neighbours"
    # None is tried again.
    again=$("$bin/pleat" recompress dense)
    [ "$again" = "dense: 0 pages recompressed (0B saved), 0 left as they are" ] || fail "again: $again"
  fi
  [ "$TRANSPORT" = zram ] || check_groups dense
  check blkdiscard blkdiscard "$device"
  [ "$(stat_field dense mem_used_total)" = 0 ] || fail "after blkdiscard: mm_stat $(mm_stat dense)"
  remove_device dense
done
