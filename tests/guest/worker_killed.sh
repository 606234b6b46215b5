#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# The worker is killed again and again while programs swap through its device at full speed, in a
# memory cgroup and under global pressure: they keep every byte, no I/O error reaches them, and no
# memory of the pool is lost. A worker that is stopped, and not dead, is found out too, and one of whose threads hangs.
# Its guest has no memory to spare, and the kernel in it is to have its processor: beside one other program at most.
# guest: memory=128M cpus=1 timeout=900 processors=2
# expect-kernel: page allocation failure: order:0, mode:.*__GFP_HIGH.*__GFP_NOMEMALLOC
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$PLEAT_SOURCE/tests/guest/lib.sh"

kills=$([ -n "$long" ] && echo 50 || echo 4)
stops=$([ -n "$long" ] && echo 5 || echo 1)
queues=${QUEUES:-1}
make_cgroup limited 24M
echo 0 >/proc/sys/vm/page-cluster

# end_workers SIGNAL COUNT PAUSE_MS STEPS
end_workers() {
  "$helpers/worker_killer" "$device" /run/pleat/swap0.sock --signal "$1" --kills "$2" --pause-ms "$3" --steps "$4" --seed "$2" &
  local killer=$!
  # A read of a device that nobody serves cannot be killed, nor does the kernel take it for a hung task.
  wait_until $((120 + 10 * $2)) process_gone "$killer" || fail "$device is not served any more"
  wait "$killer" || status=$?
}

# churn_and_kill WHAT PAUSE_MS CHECKER...: the checker goes on until the kills are done.
churn_and_kill() {
  local what=$1 pause=$2 status=0
  shift 2
  step "$what, queues: $queues ($TRANSPORT)"
  make_device swap0 $((memory_mib * 5 / 2))M --queues "$queues"
  swapped_out=$(pages_swapped_out)
  check "setting a limit" timeout 30 "$bin/pleat" set swap0 mem-limit=$((memory_mib * 2))M
  swap_on "$device"
  rm -f "$work/ready" "$work/stop"
  "$@" --ready "$work/ready" --stop "$work/stop" &
  checker=$!
  wait_until 240 [ -e "$work/ready" ] || fail "memory_checker does not get its memory"
  end_workers 9 "$kills" "$pause" 0
  [ "$status" != 0 ] || end_workers 9 "$kills" "$pause" 40
  [ "$status" != 0 ] || end_workers 19 "$stops" "$pause" 0
  # A queue's thread that hangs while all others run. Over loop it might wait for a disk.
  hangs=$([ "$TRANSPORT" = ublk ] && echo 1 || echo 0)
  [ "$status" != 0 ] || [ "$hangs" = 0 ] || end_workers 0 1 "$pause" 1
  touch "$work/stop"
  wait "$checker" || fail "memory_checker: exit status $?"
  [ "$status" = 0 ] || fail "worker_killer: exit status $status"
  echo "   $(pages_swapped_out) pages swapped out; mm_stat $(mm_stat swap0)"
  [ "$(stat_field swap0 mem_limit)" = $((memory_mib * 2 << 20)) ] || fail "a successor has forgotten the limit"
  swapped_out=$(($(pages_swapped_out) - swapped_out))
  written=$(($(metric swap0 pleat_request_bytes_total 'op="write"') / 4096))
  [ "$written" -ge "$swapped_out" ] || fail "$swapped_out pages were swapped out, but $written writes are counted"
  [ "$(metric swap0 pleat_take_overs_total)" -ge $((2 * kills + stops + hangs)) ] ||
    fail "$(metric swap0 pleat_take_overs_total) take-overs are counted, not $((2 * kills + stops + hangs))"
  end_swap swap0 "$device"
  remove_device swap0
  wait_until 5 store_is_gone || fail "the store's memory is left over: $(cat /proc/sysvipc/shm)"
  [ "$(oom_kills)" = 0 ] || fail "the kernel killed a process for want of memory"
}

churn_and_kill "in a cgroup" 150 in_cgroup limited "$helpers/memory_checker" --mib 48 --processes 2
churn_and_kill "under global pressure" 300 "$helpers/memory_checker" --mib $((memory_mib * 4 / 3)) --processes 3
[ "$(pages_swapped_out)" -gt 20000 ] || fail "only $(pages_swapped_out) pages were swapped out: this tested nothing"
