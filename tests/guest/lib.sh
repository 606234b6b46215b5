# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=bash disable=SC2034  # the scenarios use what is assigned here
# What the scenarios share. A scenario starts with
#
#     . "$PLEAT_SOURCE/tests/guest/lib.sh"
#
# and then makes devices, uses them and checks. TRANSPORT says what devices are made of: ublk
# (default), loop, or zram: the kernel's own device, which shows whether a failure is the guest's.
#
# A new process costs a guest 50 ms of a processor, a subshell too: what is asked often is asked without
# them where bash can, and without `timeout` (a question to a daemon has a deadline of its own).
set -euo pipefail

TRANSPORT=${TRANSPORT:-ublk}
bin=$PLEAT_BUILD/bin
helpers=$PLEAT_BUILD/tests/guest
long=${PLEAT_LONG:+1}
work=/tmp/work
memory_mib=$(awk '$1 == "MemTotal:" { print int($2 / 1024) }' /proc/meminfo)
mkdir -p "$work"
# Nobody writes there: to read from it is to wait, without a process.
[ -p "$work/nobody" ] || mkfifo "$work/nobody"
exec {nobody}<>"$work/nobody"

step() { echo "== $*"; }

fail() {
  echo "FAIL: $*"
  exit 1
}

# Runs a command that must succeed; its output is shown where it does not.
check() {
  local what=$1 status=0
  shift
  "$@" >"$work/check.out" 2>&1 || status=$?
  [ "$status" = 0 ] && return
  cat "$work/check.out"
  fail "$what: exit status $status from: $*"
}

# Runs a command that must fail, soon, with exit status 1 and a message that matches a pattern.
check_refused() {
  local what=$1 pattern=$2 status=0
  shift 2
  timeout 30 "$@" >"$work/refused.out" 2>&1 || status=$?
  echo "   $what: $(tail -n 1 "$work/refused.out")"
  [ "$status" = 1 ] || fail "$what: exit status $status, not 1, from: $*"
  grep -Eqi -- "$pattern" "$work/refused.out" || fail "$what: no message matches: $pattern"
}

# The scenario's last words where it fails: what a person would look at first.
explain() {
  local status=$?
  [ "$status" = 0 ] || [ "$status" = 77 ] && return
  echo "-- scenario ends with status $status; swaps, mounts, memory, devices, daemons:"
  cat /proc/swaps
  grep -E 'ublk|zram|/dev/loop|fuse' /proc/mounts || true
  grep -E 'MemFree|MemAvailable|SwapFree|Shmem:|Mlocked' /proc/meminfo || true
  find /dev -name 'ublk[bc]*'
  for process in /proc/[0-9]*; do
    grep -q pleat "$process/comm" 2>/dev/null &&
      echo "${process#/proc/} $(tr '\0' ' ' <"$process/cmdline") $(grep State: "$process/status")"
  done
  for log in /run/pleat/*.log; do
    [ ! -s "$log" ] || { echo "-- $log"; tail -n 40 "$log"; }
  done
}
trap explain EXIT

# Waits at most so many seconds until a command succeeds.
wait_until() {
  local seconds=$1 end
  shift
  end=$((SECONDS + seconds))
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || return 1
    pause 0.1
  done
}
pause() { read -rt "$1" -u "$nobody" || true; }

# make_device NAME SIZE [OPTION...]: makes a device of TRANSPORT and sets `device` to its path.
# Options are `pleat create`'s; of them a zram has a second codec where there is --recompress, and
# a backing device where --writeback-device is the last.
make_device() {
  local name=$1 size=$2
  shift 2
  if [ "$TRANSPORT" = zram ]; then
    local id
    id=$(cat /sys/class/zram-control/hot_add)
    echo lz4 >"/sys/block/zram$id/comp_algorithm"
    [[ " $* " != *" --recompress "* ]] || echo "algo=zstd priority=1" >"/sys/block/zram$id/recomp_algorithm"
    [[ " $* " != *" --writeback-device "* ]] || echo "${@: -1}" >"/sys/block/zram$id/backing_dev"
    echo "$size" >"/sys/block/zram$id/disksize"
    echo "$id" >"$work/zram.$name"
    device=/dev/zram$id
  else
    device=$(timeout 60 "$bin/pleat" create "$name" --size "$size" --transport "$TRANSPORT" "$@") ||
      fail "pleat create $name --size $size --transport $TRANSPORT $*: exit status $?"
  fi
  [ -b "$device" ] || fail "no block device at '$device'"
}

# remove_device NAME [OPTION...]: the device is gone afterwards, and its memory too.
remove_device() {
  local name=$1
  shift
  if [ "$TRANSPORT" = zram ]; then
    local id
    id=$(cat "$work/zram.$name")
    [ "${1:-}" != --swapoff ] || swapoff "/dev/zram$id"
    echo 1 >"/sys/block/zram$id/reset"
    echo "$id" >/sys/class/zram-control/hot_remove
  else
    check "removing $name" timeout 60 "$bin/pleat" remove "$name" "$@"
  fi
}

# mm_stat NAME and io_stat NAME: the line of statistics, as zram prints it.
mm_stat() {
  if [ "$TRANSPORT" = zram ]; then
    cat "/sys/block/zram$(cat "$work/zram.$1")/mm_stat"
  else
    "$bin/pleat" stat "$1" --mm-stat
  fi
}
io_stat() {
  if [ "$TRANSPORT" = zram ]; then
    cat "/sys/block/zram$(cat "$work/zram.$1")/io_stat"
  else
    "$bin/pleat" stat "$1" --io-stat
  fi
}

# field_of LINE FIELD: one number of a line of mm_stat, by the name that zram's documentation gives it.
mm_stat_fields=(orig_data_size compr_data_size mem_used_total mem_limit mem_used_max same_pages
  pages_compacted huge_pages huge_pages_since)
field_of() {
  local index
  # shellcheck disable=SC2206  # the line is numbers and spaces
  local numbers=($1)
  for index in "${!mm_stat_fields[@]}"; do
    [ "${mm_stat_fields[index]}" != "$2" ] || { echo "${numbers[index]}"; return; }
  done
  fail "no statistic $2"
}
# stat_field NAME FIELD: the same of a device as it is now.
stat_field() { field_of "$(mm_stat "$1")" "$2"; }

# Swaps on with discards of freed clusters, which is how Pleat's devices are meant to be used.
swap_on() {
  check "mkswap $1" mkswap "$1"
  check "swapon $1" swapon --discard=pages "${@:2}" "$1"
}

# How many processes the kernel has killed for want of memory.
oom_kills() { awk '$1 == "oom_kill" { print $2 }' /proc/vmstat; }
# How many pages went out to swap since boot.
pages_swapped_out() { awk '$1 == "pswpout" { print $2 }' /proc/vmstat; }

# check_freed_by_swapoff NAME DEVICE MIB: after swapoff a device holds at most MIB that the kernel does
# not discard, and nothing once it is discarded. The kernel discards a cluster (256 pages) when all of
# it becomes free, but no more once swapoff has begun: what stays are the clusters that it was filling,
# one a processor and order at most, and those with a page that was still in use.
check_freed_by_swapoff() {
  wait_until 10 holds_at_most "$1" "$3" || fail "$1 holds too much after swapoff: mm_stat $(mm_stat "$1")"
  echo "   after swapoff: mm_stat $(mm_stat "$1")"
  check blkdiscard blkdiscard "$2"
  [ "$(stat_field "$1" orig_data_size)" = 0 ] || fail "after blkdiscard: mm_stat $(mm_stat "$1")"
  [ "$(stat_field "$1" mem_used_total)" = 0 ] || fail "after blkdiscard: mm_stat $(mm_stat "$1")"
}
holds_at_most() { [ "$(stat_field "$1" orig_data_size)" -le $(($2 << 20)) ]; }

# make_cgroup NAME LIMIT: a memory cgroup; processes enter it with in_cgroup NAME COMMAND...
make_cgroup() {
  mkdir -p "/sys/fs/cgroup/$1"
  echo "$2" >"/sys/fs/cgroup/$1/memory.max"
  # The kernel ends a process where all of so small a group is on its way to a device that is slow
  # for a moment. From three quarters on it slows the group's processes down.
  [ "$2" = max ] || echo $((${2%M} * 3 / 4))M >"/sys/fs/cgroup/$1/memory.high"
}
in_cgroup() {
  local name=$1
  shift
  (echo 0 >"/sys/fs/cgroup/$name/cgroup.procs" && exec "$@")
}

# Every process of a device's daemon, whoever its parent is by now.
processes_of() {
  local process name words
  for process in /proc/[0-9]*; do
    read -r name <"$process/comm" && [ "$name" = pleatd ] || continue
    mapfile -d '' -t words <"$process/cmdline"
    [[ " ${words[*]} " != *" $1 "* ]] || echo "${process#/proc/}"
  done 2>/dev/null
}
# enter GROUP PID...
enter() {
  local group=$1 pid
  mkdir -p "/sys/fs/cgroup/$group"
  # One of them may have ended.
  for pid in "${@:2}"; do echo "$pid" >"/sys/fs/cgroup/$group/cgroup.procs" || true; done 2>/dev/null
}

# metric NAME METRIC [LABELS]: one number of `pleat metrics`; LABELS as they stand there, as op="write".
metric() {
  local line
  while read -r line; do
    [[ $line != "$2{"*"${3:-}"* ]] || { echo "${line##* }"; return; }
  done <<<"$("$bin/pleat" metrics "$1")"
}

# json_number NAME KEY: one number of `pleat stat --json`.
json_number() {
  local said
  said=$("$bin/pleat" stat "$1" --json) && [[ $said =~ \"$2\":\ *([0-9]+) ]] && echo "${BASH_REMATCH[1]}"
}
# worker_of NAME and guardian_of NAME: process ids of a device's daemon.
worker_of() { json_number "$1" pid; }
# process_stat PID: sets `stat` to what stands behind the name in /proc/PID/stat: state, parent, ...
process_stat() {
  local line
  # Without a number it would be /proc/stat.
  [ -n "$1" ] && { read -r line <"/proc/$1/stat"; } 2>/dev/null || return
  read -ra stat <<<"${line##*) }"
}
guardian_of() {
  local stat
  process_stat "$(worker_of "$1")" && echo "${stat[1]}"
}
# children_of PID
children_of() {
  local process stat
  for process in /proc/[0-9]*; do
    process_stat "${process#/proc/}" && [ "${stat[1]}" = "$1" ] && echo "${process#/proc/}"
  done
  return 0
}
process_gone() {
  local stat
  ! process_stat "$1" || [[ ${stat[0]} = [ZX] ]]
}

# Bytes of memory that the stores of all daemons take: System V shared memory.
store_bytes() {
  local words sum=0
  while read -ra words; do
    [ "${words[0]}" = key ] || sum=$((sum + words[14]))
  done </proc/sysvipc/shm
  echo "$sum"
}
# An empty store has a reserve of 8 MiB, up to half as much more, the slot table of a byte a sector (8 a
# page), and 1 MiB at most of page map and the rest.
store_is_small() { [ "$(store_bytes)" -le $(((13 << 20) + $(<"/sys/class/block/${1#/dev/}/size"))) ]; }
# end_swap NAME DEVICE: takes it out of use; all that it held must be free again.
end_swap() {
  check swapoff timeout 120 swapoff "$2"
  check blkdiscard blkdiscard "$2"
  [ "$(stat_field "$1" orig_data_size)" = 0 ] || fail "after blkdiscard: mm_stat $(mm_stat "$1")"
  [ "$(stat_field "$1" mem_used_total)" = 0 ] || fail "after blkdiscard: mm_stat $(mm_stat "$1")"
  wait_until 15 store_is_small "$2" || fail "an empty store has $(store_bytes) bytes"
}
# The last process that has it ends a moment after the device is gone.
store_is_gone() { [ "$(store_bytes)" = 0 ]; }

# The path of a device that somebody else has made.
device_of() { "$bin/pleat" list --noheadings --raw --output DEVICE "$1"; }

# install_units: systemd's next daemon-reload knows the units of the source. Their options are in
# /run/NAME.conf, since /etc is the host's, and what they log is in /run/pleat/units.log.
install_units() {
  local units=/run/systemd/system unit
  mkdir /run/pleat
  for unit in pleatd@ pleat-swap@ pleat-shutdown; do
    sed "s,@CMAKE_INSTALL_FULL_S*BINDIR@,$bin,g" "$PLEAT_SOURCE/systemd/$unit.service.in" >"$units/$unit.service"
    mkdir "$units/$unit.service.d"
    cat >"$units/$unit.service.d/guest.conf" <<EOF
[Service]
EnvironmentFile=-/run/%i.conf
StandardError=append:/run/pleat/units.log
StandardOutput=null
EOF
  done
  cp --archive "$PLEAT_BUILD"/systemd/*.wants "$units"
}

# What daemons and the kernel keep of devices: nothing must be left after a refusal or a removal.
leftovers() {
  find /run/pleat -mindepth 1 ! -name '*.log' ! -name .lock 2>/dev/null | sort
  find /dev -name 'ublk[bc]*' | sort
  losetup --noheadings --list --output NAME | sort
  grep -E ' fuse' /proc/mounts || true
}
