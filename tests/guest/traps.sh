#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# What once kept a dead worker's device from being served again, each alone: requests on every tag,
# helpers that do not run, stand-bys that die too, descriptors that others hold, memory that was
# swapped out or is gone, and marks that some thread lacks.
# guest: memory=192M cpus=1 timeout=420 kernel=6.12
# The device of the store that is gone.
# expect-kernel: I/O error
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$PLEAT_SOURCE/tests/guest/lib.sh"

depth=8
mib=8
count_of() { metric frail "pleat_$1_total"; }
has_more() { [ "$(count_of "$1")" -gt "$2" ]; }
has_stand_bys() { [ "$(metric frail pleat_stand_bys)" = 2 ]; }
await_stand_bys() { wait_until 60 has_stand_bys || fail "frail has no stand-bys"; }
# await_take_over BEFORE WHAT [SECONDS]
await_take_over() { wait_until "${3:-15}" has_more take_overs "$1" || fail "nobody took over: $2"; }
pages_are_there() { check "$1: the pages are there" timeout 20 cmp -n $((mib << 20)) "$work/data" "$device"; }
has_one_thread() { local tasks=("/proc/$1/task/"*); [ ${#tasks[@]} = 1 ]; }
# Children of the guardian that have one thread: its spawner and its logger.
helpers_of() {
  local process
  for process in $(children_of "$1"); do ! has_one_thread "$process" || echo "$process"; done
}
stand_bys_of() {
  local process worker
  worker=$(worker_of frail)
  for process in $(children_of "$1"); do
    [ "$process" = "$worker" ] || has_one_thread "$process" || echo "$process"
  done
}

make_cgroup daemon max
echo $$ >/sys/fs/cgroup/daemon/cgroup.procs
make_device frail 64M --depth "$depth" --queues 1
echo $$ >/sys/fs/cgroup/cgroup.procs
head -c ${mib}M /dev/urandom >"$work/data"
check "writing" dd if="$work/data" of="$device" bs=1M oflag=direct status=none
await_stand_bys
guardian=$(guardian_of frail)
worker=$(worker_of frail)

step "every thread that serves, or stands by, has its marks"
for process in "$worker" $(stand_bys_of "$guardian"); do
  [ "$(cat "/proc/$process/oom_score_adj")" = -1000 ] || fail "process $process is not spared by the OOM killer"
  # Program, libraries, data and stack: all but the store, which has a lock of its own.
  unlocked=$(awk '$1 ~ /^Vm(Exe|Lib|Data|Stk):$/ { sum += $2 } $1 == "VmLck:" { sum -= $2 } END { print sum }' "/proc/$process/status")
  [ "$unlocked" -le 0 ] || fail "process $process has $unlocked KiB that are not locked"
  for thread in "/proc/$process/task/"*; do
    # Of /proc/PID/stat the flags are field 9, the policy field 41; the first here is field 3.
    process_stat "${thread#/proc/}" || fail "a thread of $process has ended"
    # PF_MEMALLOC_NOIO and PF_LOCAL_THROTTLE, which PR_SET_IO_FLUSHER sets.
    [ $((stat[6] & 0x180000)) = $((0x180000)) ] || fail "$(cat "$thread/comm") of $process is no I/O flusher"
    # SCHED_RR
    [ "${stat[38]}" = 2 ] || fail "$(cat "$thread/comm") of $process has policy ${stat[38]}"
  done
done

step "nobody but the worker has the character device open"
# An open file would keep the recovery from starting.
holders=$(find /proc/[0-9]*/fd -lname '/dev/ublkc*' 2>/dev/null | cut -d / -f 3 | sort -u)
[ "$holders" = "$worker" ] || fail "the worker is $worker, but /dev/ublkc* is open in: $holders"

step "it dies with a request on every tag"
await_stand_bys
readers=()
for ((i = 0; i < depth * 2; ++i)); do
  dd if="$device" of=/dev/null bs=4k iflag=direct status=none &
  readers+=($!)
done
# Near a return from the kernel with requests, none of which is answered yet, and held before it
# until all readers run and all tags that can be used are.
check "killing workers" timeout 150 "$helpers/worker_killer" "$device" /run/pleat/frail.sock --kills 3 --steps 4 --hold-ms 1000
cat "$work/check.out"
# Without a tag to spare the driver hears of a death by a request's time-out, of 30 s.
longest_ms=$(sed -n 's/.* max \([0-9]*\).*/\1/p' "$work/check.out")
[ "$longest_ms" -lt 15000 ] || fail "the death of a worker was noticed after $longest_ms ms"
kill "${readers[@]}" 2>/dev/null || true
for reader in "${readers[@]}"; do
  status=0
  wait "$reader" || status=$?
  [ "$status" = 0 ] || [ "$status" = 143 ] || fail "a read has failed"
done
pages_are_there "after the requests"

step "it dies while it answers large reads"
# Where the kernel itself fetches the pages of an answer, it takes the death of their owner for an I/O error.
await_stand_bys
reading=()
for ((i = 0; i < 2; ++i)); do
  (while dd if="$device" of=/dev/null bs=128k count=$((mib * 8)) iflag=direct status=none; do :; done; touch "$work/read-failed") &
  reading+=($!)
done
# By a limit of processor time, which kills where the time is spent: otherwise they nearly always die while they wait.
# One in three or so is in the midst of an answer.
for ((i = 0; i < 6; ++i)); do
  await_stand_bys
  before=$(count_of take_overs)
  worker=$(worker_of frail)
  process_stat "$worker" || fail "the worker has ended"
  # User and system time are fields 14 and 15 of /proc/PID/stat, in hundredths of a second.
  seconds=$(((stat[11] + stat[12]) / 100 + 1))
  check "a limit of time" prlimit --pid "$worker" --cpu="$seconds:$seconds"
  # Beside others it takes a while to get that much.
  await_take_over "$before" "after $seconds s of processor time" 100
done
kill "${reading[@]}" 2>/dev/null || true
wait "${reading[@]}" 2>/dev/null || true
[ ! -e "$work/read-failed" ] || fail "a read has failed"
pages_are_there "after large reads"

step "it dies while spawner and logger do not run"
await_stand_bys
before=$(count_of take_overs)
stopped=$(helpers_of "$guardian")
[ "$(wc -w <<<"$stopped")" = 2 ] || fail "spawner and logger are not found: $stopped"
# shellcheck disable=SC2086  # one word a process
kill -STOP $stopped
kill -9 "$(worker_of frail)"
await_take_over "$before" "without spawner and logger"
pages_are_there "without spawner and logger"
# shellcheck disable=SC2086
kill -CONT $stopped

step "its stand-bys die with it"
await_stand_bys
before=$(count_of take_overs)
# shellcheck disable=SC2046
kill -9 $(stand_bys_of "$guardian") "$(worker_of frail)"
await_take_over "$before" "after the stand-bys died too"
pages_are_there "after the stand-bys died too"

step "all die, and their memory is reclaimed before somebody serves again"
await_stand_bys
path=$device
TRANSPORT=zram make_device other 64M
swap_on "$device"
device=$path
kill -STOP "$guardian"
# shellcheck disable=SC2046
kill -9 $(children_of "$guardian") "$guardian"
echo ${mib}M 2>/dev/null >/sys/fs/cgroup/daemon/memory.reclaim || true
# Segments of shared memory: what of them is swapped out.
swapped=$(awk 'NR > 1 { sum += $16 } END { print sum + 0 }' /proc/sysvipc/shm)
[ "$swapped" = 0 ] || fail "$swapped bytes of the store are in swap"
check swapoff swapoff "/dev/zram$(cat "$work/zram.other")"
TRANSPORT=zram remove_device other
check "pleat recover" timeout 60 "$bin/pleat" recover frail
pages_are_there "after the recovery"

step "all die, and the store's memory is gone"
await_stand_bys
guardian=$(guardian_of frail)
kill -STOP "$guardian"
# shellcheck disable=SC2046
kill -9 $(children_of "$guardian") "$guardian"
store=$(awk 'NR > 1 && $4 > size { size = $4; id = $2 } END { print id }' /proc/sysvipc/shm)
check ipcrm ipcrm -m "$store"
# Once nobody has it any more, who still gives memory back for a dead worker among them.
segment_is_gone() { ! awk -v id="$store" '$2 == id { found = 1 } END { exit !found }' /proc/sysvipc/shm; }
wait_until 20 segment_is_gone || fail "somebody keeps the store: $(cat /proc/sysvipc/shm)"
# Zeros would be served in place of the pages.
check_refused "pleat recover" "gone" "$bin/pleat" recover frail
check "a sweep" timeout 60 "$bin/pleatd" --sweep --lose-pages
wait_until 15 store_is_gone || fail "memory is left over: $(cat /proc/sysvipc/shm)"
[ "$(oom_kills)" = 0 ] || fail "the kernel killed a process for want of memory"
