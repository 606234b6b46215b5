#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# The daemon is killed under load: its worker, its guardian, both at once, or all of its processes.
# All goes on as before, over ublk also where nobody is left, once `pleat recover` has been there. Where the
# pages are lost (over loop where nobody is left, or given up by a sweep) nothing hangs: file system
# calls end with an error, programs with pages in swap get SIGBUS and never wrong bytes, the device
# goes, swapoff and umount return, and a new device can be made.
# guest: memory=256M cpus=1 timeout=400
# expect-kernel: I/O error|EXT4-fs (error|warning)|JBD2|Read-error on swap|Write-error on swap|lost a?sync page write
# A page that cannot be read back from swap is SIGBUS, which User Mode Linux reports in these words.
# expect-kernel: memory_checker\[[0-9]+\]: segfault at
# Swap that fails for good leaves a program of the control group to the OOM killer; where it does not fail, a
# program so killed fails the scenario by its exit status.
# expect-kernel: memory_checker invoked oom-killer|oom-kill:constraint=CONSTRAINT_MEMCG,.*oom_memcg=/limited,
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$PLEAT_SOURCE/tests/guest/lib.sh"

make_cgroup limited 24M
priority=0

# survives VICTIM: whether somebody serves the device without it.
survives() { [ "$1" != all-for-good ]; }

# A spawner, a logger, a worker and two stand-bys, which take a moment to be ready.
stand_bys_are_there() { [ "$(children_of "$1" | wc -w)" -ge 5 ]; }

# kill_daemon NAME VICTIM
kill_daemon() {
  local worker guardian
  worker=$(worker_of "$1")
  guardian=$(guardian_of "$1")
  wait_until 20 stand_bys_are_there "$guardian" || fail "the guardian has no stand-bys: $(children_of "$guardian")"
  sleep 1
  case $2 in
    worker) kill -9 "$worker" ;;
    guardian) kill -9 "$guardian" ;;
    both) kill -9 "$guardian" "$worker" ;;
    helpers)
      # Spawner, logger and stand-bys are made anew; the worker serves.
      for helper in $(children_of "$guardian"); do [ "$helper" = "$worker" ] || kill -9 "$helper"; done
      wait_until 30 stand_bys_are_there "$guardian" || fail "the helpers are not replaced: $(children_of "$guardian")"
      ;;
    all*)
      # None of them is to make others meanwhile.
      kill -STOP "$guardian"
      # shellcheck disable=SC2046  # one word a process
      kill -9 $(children_of "$guardian") "$guardian"
      sleep 0.5
      if [ "$TRANSPORT" = loop ]; then
        check_refused "pleat recover" "pages of $1 are lost" "$bin/pleat" recover "$1"
        check_refused "a sweep" "still in use and goes away at its last close" "$bin/pleatd" --sweep
        return
      fi
      # What programs use is not given up by accident.
      check_refused "a sweep" 'all there.*pleat upgrade' "$bin/pleatd" --sweep
      check_refused "a device of the name" 'pages are all there' "$bin/pleat" create "$1" --size 32M
      if [ "$2" = all ]; then
        check "pleat recover" timeout 120 "$bin/pleat" recover "$1"
      else
        check "a sweep" timeout 60 "$bin/pleatd" --sweep --lose-pages
        check_refused "pleat recover" "no device" "$bin/pleat" recover "$1"
      fi
      ;;
  esac
}
# Ends within so many seconds, with any status: sets `status`.
must_end() {
  local what=$1 seconds=$2 pid
  shift 2
  "$@" >"$work/must_end.out" 2>&1 &
  pid=$!
  wait_until "$seconds" process_gone "$pid" || fail "$what hangs: $(cat "/proc/$pid/wchan" 2>/dev/null)"
  status=0
  wait "$pid" || status=$?
  echo "   $what: exit status $status"
}
# A loop device that nothing is attached to has no bytes.
device_gone() { [ ! -b "$1" ] || [ "$(dd if="$1" bs=4k count=1 iflag=direct | wc -c)" = 0 ]; }

# lose_files VICTIM, lose_swap VICTIM...: a device in use, and what kill_daemon does to it. Somebody
# serves it after all victims but the last.
lose_files() {
  local victim=$1
  step "kill -9 $victim: a mounted file system ($TRANSPORT)"
  make_device files 64M
  check mkfs mkfs.ext4 -q "$device"
  mkdir -p /tmp/mnt
  check mount mount "$device" /tmp/mnt
  dd if=/dev/urandom of=/tmp/mnt/file bs=64k count=160 conv=fsync >/dev/null 2>&1 &
  writer=$!
  sleep 0.3
  kill_daemon files "$victim"
  wait_until 40 process_gone "$writer" || fail "a writer hangs"
  must_end "reading" 40 dd if=/tmp/mnt/file of=/dev/null bs=64k iflag=direct
  reading=$status
  must_end "sync" 40 sync
  must_end "umount" 40 umount /tmp/mnt
  if survives "$victim"; then
    [ "$reading" = 0 ] || fail "reading fails although somebody serves the device"
    remove_device files
  fi
  wait_until 40 device_gone "$device" || fail "$device still answers"
}
lose_swap() {
  local victim
  step "kill -9 $*: swap with pages out"
  make_device swap0 128M
  # Above a dead device's that the kernel keeps as swap: it would go on writing there.
  swap_on "$device" -p $((++priority))
  rm -f "$work/ready" "$work/go"
  in_cgroup limited "$helpers/memory_checker" --mib 36 --processes 2 --ready "$work/ready" --go "$work/go" &
  checker=$!
  wait_until 60 [ -e "$work/ready" ] || fail "memory_checker does not get its memory"
  for victim; do
    kill_daemon swap0 "$victim"
    case $victim in
      # Those that are left make no whole daemon, whose guardian is found by its worker.
      guardian | both) check "pleat upgrade" timeout 120 "$bin/pleat" upgrade swap0 ;;
    esac
  done
  touch "$work/go"
  wait_until 60 process_gone "$checker" || fail "programs with pages in swap hang"
  status=0
  wait "$checker" || status=$?
  checked=$status
  echo "   programs with pages in swap: exit status $checked"
  [ "$checked" = 3 ] || [ "$checked" = 0 ] || fail "a program read wrong bytes"
  must_end "swapoff" 40 swapoff "$device"
  if survives "$victim"; then
    [ "$checked $status" = "0 0" ] || fail "swap fails although somebody serves the device"
    remove_device swap0
  fi
}

lose_files worker
if [ "$TRANSPORT" = loop ]; then
  lose_swap worker helpers guardian both
  lose_swap all-for-good
  lose_files all-for-good
else
  lose_files all
  lose_swap worker helpers guardian both all
  lose_files all-for-good
  lose_swap all-for-good
fi

step "a new device of the same name"
make_device files 32M
"$helpers/block_checker" "$device" --operations 100 || fail "the new device: exit status $?"
remove_device files
