#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# What happens to a machine and to a daemon while programs swap: each fault once, or, with
# SOAK_SECONDS, a mix of all for so long, at random from the seed SOAK_SEED; FAULTS names others. The
# programs keep every byte, a flipped bit costs its page alone, and at the end no memory and no count
# is lost.
# guest: memory=128M cpus=1 timeout=300 kernel=6.12
# Writes that are refused, and reads of damaged pages.
# expect-kernel: I/O error|critical (space allocation|target) error|Write-error on swap|Read-error on swap
# expect-kernel: memory_checker\[[0-9]+\]: segfault at
# A daemon at the limit of its control group, where nobody may be killed.
# expect-kernel: invoked oom-killer|oom-kill:|Out of memory and no killable processes
# expect-kernel: page allocation failure: order:0, mode:.*__GFP_HIGH.*__GFP_NOMEMALLOC
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$PLEAT_SOURCE/tests/guest/lib.sh"

soak_seconds=${SOAK_SECONDS:-0}
RANDOM=${SOAK_SEED:-1}
frozen_seconds=$([ -n "$long" ] && echo 30 || echo 3)
groups=/sys/fs/cgroup
checked=$((memory_mib / 8))M

# What this script needs stays in memory: it has to act while nobody serves swap. Pages of before it
# was in the group are not the group's, so it begins anew there.
if ! grep -q '/script$' /proc/self/cgroup; then
  make_cgroup script max
  echo 0 >"$groups/script/memory.swap.max"
  echo $$ >"$groups/script/cgroup.procs"
  exec "$BASH" "$0"
fi
echo 0 >/proc/sys/vm/page-cluster

count_of() { metric swap0 "pleat_$1_total"; }
has_more() { [ "$(count_of "$1")" -gt "$2" ]; }
has_stand_bys() { [ "$(metric "$1" pleat_stand_bys)" = 2 ]; }
await_stand_bys() { wait_until 60 has_stand_bys swap0 || fail "swap0 has no stand-bys"; }
is_frozen() { grep -qx 'frozen 1' "$groups/$1/cgroup.events"; }

# Ends a worker by a command and waits for its successor.
succeeded_after() {
  local before
  await_stand_bys
  before=$(count_of take_overs)
  "$@"
  wait_until 60 has_more take_overs "$before" || fail "nobody took over after $*"
}
fault_kill_worker() { succeeded_after kill -9 "$(worker_of swap0)"; }
fault_stop_worker() { succeeded_after kill -STOP "$(worker_of swap0)"; }
fault_kill_guardian() {
  local guardian
  await_stand_bys
  guardian=$(guardian_of swap0)
  kill -9 "$guardian"
  wait_until 30 process_gone "$guardian" || fail "the guardian is still there"
  check "pleat upgrade" timeout 120 "$bin/pleat" upgrade swap0
}
fault_kill_both() {
  succeeded_after kill -9 "$(guardian_of swap0)" "$(worker_of swap0)"
  check "pleat upgrade" timeout 120 "$bin/pleat" upgrade swap0
}
fault_kill_helpers() {
  local worker process
  await_stand_bys
  worker=$(worker_of swap0)
  for process in $(children_of "$(guardian_of swap0)"); do
    [ "$process" = "$worker" ] || kill -9 "$process"
  done
  await_stand_bys
}
fault_kill_all() {
  local all
  await_stand_bys
  # Who sees another die makes a new one.
  mapfile -t all < <(processes_of swap0)
  kill -STOP "${all[@]}"
  kill -9 "${all[@]}"
  check "pleat recover" timeout 120 "$bin/pleat" recover swap0
}
fault_upgrade() { check "pleat upgrade" timeout 120 "$bin/pleat" upgrade swap0; }
fault_freeze_worker() {
  # The guardian finds it stuck and kills it, which thaws it.
  await_stand_bys
  echo 1 >"$(mkdir -p $groups/ice && echo $groups/ice)/cgroup.freeze"
  succeeded_after enter ice "$(worker_of swap0)"
}
fault_freeze_daemon() {
  local before
  await_stand_bys
  # shellcheck disable=SC2046  # one word a process
  enter daemon $(processes_of swap0)
  before=$(count_of take_overs)
  echo 1 >"$groups/daemon/cgroup.freeze"
  wait_until 20 is_frozen daemon || fail "the daemon does not freeze"
  sleep "$frozen_seconds"
  echo 0 >"$groups/daemon/cgroup.freeze"
  # Nobody was stuck but all.
  sleep 2
  [ "$(count_of take_overs)" = "$before" ] || fail "a worker was killed that was frozen with its guardian"
}
# refuses_at_half COUNT: again, since what was stored a moment ago may be discarded meanwhile.
refuses_at_half() {
  check "setting a limit" timeout 30 "$bin/pleat" set swap0 mem-limit=$(($(stat_field swap0 mem_used_total) / 2 + 4096))
  sleep 1
  has_more over_limit_writes "$1"
}
fault_fill_pool() {
  local before
  before=$(count_of over_limit_writes)
  # Programs are slowed down there, and not killed where swap takes nothing.
  echo "$checked" >"$groups/checked/memory.high"
  echo max >"$groups/checked/memory.max"
  wait_until 60 refuses_at_half "$before" || fail "no write was refused at the limit"
  check "lifting the limit" timeout 30 "$bin/pleat" set swap0 mem-limit=0
  make_cgroup checked "$checked"
}
# write_part PART and part_is_there PART: the device `hungry` has 24 parts, and each the same bytes. They are small,
# as the machine cannot swap while its daemons get no memory, and has none to spare.
write_part() { dd if="$work/noise" of="$hungry" bs=1M seek="$1" oflag=direct status=none 2>"$work/dd.out"; }
part_is_there() { check "part $1" cmp -n $((1 << 20)) "$work/noise" "$hungry" 0 $(($1 << 20)); }
fault_no_memory() {
  local part last
  make_device hungry 24M
  hungry=$device
  head -c 1M /dev/urandom >"$work/noise"
  # shellcheck disable=SC2046  # one word a process
  enter daemon $(processes_of hungry) $(processes_of swap0)
  echo 0 >"$groups/daemon/memory.max"
  # The reserve has room for some of them.
  for ((part = 0; part < 24; ++part)); do write_part "$part" || break; done
  [ "$part" != 24 ] || fail "no write was refused for want of memory"
  for ((last = part, part = 0; part < last; ++part)); do part_is_there "$part"; done
  echo max >"$groups/daemon/memory.max"
  [ "$(metric hungry pleat_no_reserve_writes_total)" -gt 0 ] || fail "a write failed: $(cat "$work/dd.out")"
  wait_until 30 write_part "$last" || fail "writes go on failing: $(cat "$work/dd.out")"
  part_is_there "$last"
  remove_device hungry
}
fault_pressure() {
  # This script's own group must not swap.
  make_cgroup pressure max
  in_cgroup pressure "$helpers/memory_checker" --mib "$memory_mib" --processes 2 --seed "$RANDOM" >"$work/pressure.out" ||
    fail "memory_checker: exit status $?: $(cat "$work/pressure.out")"
}
fault_compact() { check "pleat compact" timeout 60 "$bin/pleat" compact swap0; }

# pages_are FIRST COUNT: of the device `bits`, as in the file.
pages_are() {
  [ "$2" = 0 ] && return
  cmp <(dd if="$bits" bs=4k skip="$1" count="$2" iflag=direct status=none) \
    <(dd if="$work/bits" bs=4k skip="$1" count="$2" status=none) || fail "pages $1 to $(($1 + $2 - 1)) are wrong"
}
fault_flip_bits() {
  local page next=0 flipped
  make_device bits 4M
  bits=$device
  { head -c 512K "$bin/pleatd" && head -c 256K /dev/urandom && head -c 256K "$bin/pleatd"; } >"$work/bits"
  check "writing" dd if="$work/bits" of="$bits" bs=64k oflag=direct status=none
  # One of a program, one of random bytes, and one of either.
  flipped="$((RANDOM % 100)) $((130 + RANDOM % 60)) $((192 + RANDOM % 60))"
  for page in $flipped; do
    "$helpers/store_damager" bits flip "$page" "$RANDOM" >>"$work/flips" || fail "page $page is not in the pool"
    pages_are "$next" $((page - next))
    ! dd if="$bits" of=/dev/null bs=4k skip="$page" count=1 iflag=direct 2>"$work/flip.out" ||
      fail "page $page was read, with a flipped bit"
    grep -q "Input/output error" "$work/flip.out" || fail "page $page: $(cat "$work/flip.out")"
    next=$((page + 1))
  done
  pages_are "$next" $((256 - next))
  [ "$(metric bits pleat_corrupt_pages_total)" = 3 ] ||
    fail "$(metric bits pleat_corrupt_pages_total) corrupt pages are counted, not 3"
  [ "$(metric bits pleat_failed_reads_total)" = 3 ] || fail "not 3 failed reads: $(io_stat bits)"
  # Through the page cache, whose readahead asks for the neighbours in one request.
  for page in $flipped; do
    [ "$(dd if="$bits" bs=4k skip=$((page + 1)) count=1 status=none | sha256sum)" = \
      "$(dd if="$work/bits" bs=4k skip=$((page + 1)) count=1 status=none | sha256sum)" ] ||
      fail "page $((page + 1)) is wrong in the page cache"
    check "writing page $page again" \
      dd if="$work/bits" of="$bits" bs=4k skip="$page" seek="$page" count=1 oflag=direct conv=notrunc status=none
  done
  pages_are 0 256
  check blkdiscard blkdiscard "$bits"
  [ "$(stat_field bits mem_used_total)" = 0 ] || fail "after blkdiscard: mm_stat $(mm_stat bits)"
  remove_device bits
}

# Bits flipped in swap: the programs are killed or see their bytes, never others.
flip_swapped() {
  local status=0
  make_device frail 64M
  swap_on "$device" -p 100
  make_cgroup frail 8M
  in_cgroup frail "$helpers/memory_checker" --mib 20 --processes 3 --ready "$work/frail.ready" --go "$work/frail.go" &
  checker=$!
  wait_until 60 [ -e "$work/frail.ready" ] || fail "memory_checker does not get its memory"
  "$helpers/store_damager" frail flip-any 3 "$RANDOM" || fail "no page of swap is in the pool"
  touch "$work/frail.go"
  wait "$checker" || status=$?
  echo "   memory_checker: exit status $status; $(metric frail pleat_corrupt_pages_total) corrupt pages read"
  [ "$status" = 3 ] || fail "nobody was killed, or bytes were wrong"
  check swapoff timeout 120 swapoff "$device"
  remove_device frail
}

# Those that other scenarios have as well take long.
faults=(freeze_worker freeze_daemon fill_pool no_memory flip_bits)
[ -z "$long" ] && [ "$soak_seconds" = 0 ] ||
  faults+=(kill_worker stop_worker kill_guardian kill_both kill_helpers kill_all upgrade pressure compact)
[ -z "${FAULTS:-}" ] || read -r -a faults <<<"$FAULTS"

# The block checker goes on beside, on a device of its own.
check_blocks() {
  local round
  for ((round = 1; ; ++round)); do
    nice -n 19 "$helpers/block_checker" "$1" --operations 200 --seed "$round" >"$work/blocks.out" || return 1
    [ ! -e "$work/stop" ] || return 0
  done
}
begin_checks() {
  make_device blocks 8M
  blocks=$device
  make_device swap0 $((memory_mib * 4))M
  swap=$device
  swap_on "$swap"
  make_cgroup checked "$checked"
  check_blocks "$blocks" &
  block_checker=$!
  in_cgroup checked nice -n 19 "$helpers/memory_checker" --mib $((memory_mib / 4)) --processes 2 \
    --ready "$work/ready" --stop "$work/stop" &
  memory_checker=$!
  wait_until 120 [ -e "$work/ready" ] || fail "memory_checker does not get its memory"
}
check_that_all_run() {
  [ -d "/proc/$memory_checker" ] || fail "memory_checker has ended"
  [ -d "/proc/$block_checker" ] || fail "block_checker has ended: $(cat "$work/blocks.out")"
}
end_checks() {
  touch "$work/stop"
  wait "$memory_checker" || fail "memory_checker: exit status $?"
  wait "$block_checker" || fail "block_checker: $(cat "$work/blocks.out")"
  echo "   $(pages_swapped_out) pages swapped out; mm_stat $(mm_stat swap0)"
  [ "$(count_of failed_reads)" = 0 ] || fail "$(count_of failed_reads) reads have failed"
  remove_device blocks
  end_swap swap0 "$swap"
  remove_device swap0
  wait_until 15 store_is_gone || fail "the store's memory is left over: $(cat /proc/sysvipc/shm)"
  [ "$(oom_kills)" = 0 ] || fail "the kernel killed a process for want of memory"
}

if [ "$soak_seconds" = 0 ] && [ -z "${FAULTS:-}" ]; then
  step "bits flipped in swap"
  flip_swapped
  step "bits flipped over the loop transport"
  TRANSPORT=loop fault_flip_bits
fi
begin_checks
if [ "$soak_seconds" = 0 ]; then
  for fault in "${faults[@]}"; do
    step "$fault ($SECONDS s)"
    "fault_$fault"
    check_that_all_run
  done
else
  step "seed $SOAK_SEED, $soak_seconds s"
  declare -A times
  for ((end = SECONDS + soak_seconds; SECONDS < end;)); do
    fault=${faults[RANDOM % ${#faults[@]}]}
    echo "   $SECONDS s: $fault"
    "fault_$fault"
    check_that_all_run
    times[$fault]=$((${times[$fault]:-0} + 1))
    sleep "0.$((RANDOM % 1000))"
  done
  for fault in "${faults[@]}"; do echo "   $fault: ${times[$fault]:-0}"; done
fi
step "the end"
end_checks
