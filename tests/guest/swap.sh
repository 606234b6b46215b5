#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Swap under global memory pressure: programs that need much more than there is (200 MiB in a guest
# of 128 MiB) get every byte back, nobody is killed for want of memory, and swapoff returns everything.
# guest: memory=128M cpus=1 timeout=400 kernel=7.3
# Linux 7.3 makes the table of a new swap cluster with an allocation that may fail and says so; the
# cluster is then made later.
# expect-kernel: page allocation failure: order:0, mode:.*__GFP_HIGH.*__GFP_NOMEMALLOC
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$PLEAT_SOURCE/tests/guest/lib.sh"

rounds=$([ -n "$long" ] && echo 20 || echo 1)
echo 0 >/proc/sys/vm/page-cluster
mib=$((memory_mib * 9 / 5))
step "$mib MiB of checked memory in $memory_mib MiB ($TRANSPORT)"
make_device swap0 $((memory_mib * 5 / 2))M
swap_on "$device"
"$helpers/memory_checker" --mib "$mib" --processes 3 --rounds "$rounds" || fail "memory_checker: exit status $?"
swapped=$(pages_swapped_out)
echo "   $swapped pages swapped out; mm_stat $(mm_stat swap0)"
[ "$swapped" -gt 20000 ] || fail "only $swapped pages were swapped out: this tested nothing"
[ "$(oom_kills)" = 0 ] || fail "the kernel killed a process for want of memory"

step "swapoff gives everything back"
check swapoff timeout 60 swapoff "$device"
# Pages of the system's own programs are out too, some hundred, and each may keep a cluster from being free.
check_freed_by_swapoff swap0 "$device" $((memory_mib / 2))
remove_device swap0
