#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Swap from a memory cgroup, on one device and on two at once, with swap readahead (vm.page-cluster
# 3: reads of up to 8 pages) and without. Pages that processes drop while they are out, and swapoff,
# give the device's memory back.
# guest: memory=192M cpus=1 timeout=300 kernel=6.12
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$PLEAT_SOURCE/tests/guest/lib.sh"

rounds=$([ -n "$long" ] && echo 30 || echo 1)
make_cgroup limited 16M

for page_cluster in 3 0; do
  step "page-cluster $page_cluster: 32 MiB of checked memory in 16 MiB ($TRANSPORT)"
  echo "$page_cluster" >/proc/sys/vm/page-cluster
  # Of the two rounds one is of the codec of most work.
  make_device swap0 128M --algorithm "$([ "$page_cluster" = 0 ] && echo zstd || echo auto)"
  swap_on "$device"
  in_cgroup limited "$helpers/memory_checker" --mib 32 --processes 2 --rounds "$rounds" --seed "$page_cluster" ||
    fail "memory_checker: exit status $?"
  echo "   mm_stat $(mm_stat swap0)"
  [ "$(stat_field swap0 mem_used_max)" -gt $((4 << 20)) ] || fail "little was swapped out: this tested nothing"
  check swapoff timeout 60 swapoff "$device"
  check_freed_by_swapoff swap0 "$device" 8
  remove_device swap0
done

step "two devices of the same priority at once"
make_device swap1 64M
first=$device
make_device swap2 64M --algorithm zstd:1,tables=canned
second=$device
swap_on "$first" -p 10
swap_on "$second" -p 10
in_cgroup limited "$helpers/memory_checker" --mib 32 --processes 2 --rounds "$rounds" --seed 7 ||
  fail "memory_checker: exit status $?"
for name in swap1 swap2; do
  echo "   $name: mm_stat $(mm_stat $name)"
  [ "$(stat_field $name mem_used_max)" -gt $((2 << 20)) ] || fail "$name was hardly used"
done
remove_device swap1 --swapoff
remove_device swap2 --swapoff
[ "$(wc -l </proc/swaps)" = 1 ] || fail "swap is left over: $(cat /proc/swaps)"
[ "$(oom_kills)" = 0 ] || fail "the kernel killed a process for want of memory"
