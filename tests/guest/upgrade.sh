#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# A device is handed over from daemon to daemon while programs swap through it: they keep every byte.
# Where the new daemon does not start, does not know the layout of the store, or dies when it has
# just taken over, the old one goes on.
# guest: memory=192M cpus=1 timeout=600
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$PLEAT_SOURCE/tests/guest/lib.sh"

upgrades=$([ -n "$long" ] && echo 15 || echo 2)
make_cgroup limited 24M
echo 0 >/proc/sys/vm/page-cluster

number() { json_number swap0 "$1"; }
has_daemons() {
  local process name count=0
  for process in /proc/[0-9]*; do
    { read -r name <"$process/comm"; } 2>/dev/null && [ "$name" = pleatd ] && count=$((count + 1))
  done
  [ "$count" = "$1" ]
}
log=/run/pleat/swap0.log
served_by_old() { local pid stat; pid=$(number pid) && process_stat "$pid" && [ "${stat[1]}" = "$guardian" ]; }
stand_bys_are_ready() { [ "$(number stand_bys)" = 2 ]; }

make_device swap0 256M
check "setting a limit" timeout 30 "$bin/pleat" set swap0 mem-limit=200M
swap_on "$device"
in_cgroup limited "$helpers/memory_checker" --mib 48 --processes 2 --ready "$work/ready" --stop "$work/stop" &
checker=$!
wait_until 120 [ -e "$work/ready" ] || fail "memory_checker does not get its memory"

step "$upgrades upgrades"
for _ in $(seq "$upgrades"); do
  worker=$(number pid)
  guardian=$(guardian_of swap0)
  check "pleat upgrade" timeout 120 "$bin/pleat" upgrade swap0
  [ "$(number pid)" != "$worker" ] || fail "the old worker serves on"
  wait_until 20 process_gone "$guardian" || fail "the old guardian is still there"
done
grep -o 'is served by.*' $log
[ "$(stat_field swap0 mem_limit)" = $((200 << 20)) ] || fail "a successor has forgotten the limit"

step "an upgrade after the guardian has died"
guardian=$(guardian_of swap0)
kill -9 "$guardian"
wait_until 20 grep -q "has taken its place" $log || fail "the guardian has no successor"
check "pleat upgrade" timeout 120 "$bin/pleat" upgrade swap0

step "a daemon that does not start"
worker=$(number pid)
guardian=$(guardian_of swap0)
check_refused "no program" 'pleatd ended before' env PLEATD=/bin/false "$bin/pleat" upgrade swap0
"$helpers/store_damager" swap0 layout 99
check_refused "another layout" 'layout version 99' "$bin/pleat" upgrade swap0
"$helpers/store_damager" swap0 layout 0
[ "$(number pid)" = "$worker" ] || fail "another worker serves"
check_refused "no such device" 'no device nobody' "$bin/pleat" upgrade nobody

step "a daemon that dies when it has taken over"
wait_until 20 stand_bys_are_ready || fail "there are no stand-bys"
timeout 60 "$bin/pleat" upgrade swap0 >"$work/upgrade.out" 2>&1 &
upgrade=$!
"$helpers/worker_killer" /run/pleat/swap0.sock successor-of "$worker" || fail "no new worker was killed"
status=0
wait "$upgrade" || status=$?
echo "   $(cat "$work/upgrade.out")"
[ "$status" = 1 ] || fail "pleat upgrade: exit status $status"
grep -q 'left to its last daemon' "$work/upgrade.out" || fail "pleat upgrade does not say what happened"
wait_until 20 served_by_old || fail "the old daemon does not go on"
[ "$(guardian_of swap0)" = "$guardian" ] || fail "there is another guardian"

step "a new daemon whose guardian dies too"
wait_until 20 stand_bys_are_ready || fail "there are no stand-bys"
worker=$(number pid)
timeout 60 "$bin/pleat" upgrade swap0 >"$work/upgrade.out" 2>&1 &
upgrade=$!
"$helpers/worker_killer" /run/pleat/swap0.sock successor-of "$worker" and-parent || fail "no new worker was killed"
wait "$upgrade" || true
wait_until 20 served_by_old || fail "the old daemon does not go on"
# What the new one has made is gone: guardian, spawner, logger, worker and two stand-bys are left.
wait_until 20 has_daemons 6 || fail "other processes of pleatd are left"

step "the end"
check "pleat upgrade" timeout 120 "$bin/pleat" upgrade --all
touch "$work/stop"
wait "$checker" || fail "memory_checker: exit status $?"
check swapoff timeout 120 swapoff "$device"
remove_device swap0
wait_until 5 store_is_gone || fail "the store's memory is left over: $(cat /proc/sysvipc/shm)"
[ -z "$(ls /run/pleat)" ] || [ "$(ls /run/pleat)" = .lock ] || fail "files are left: $(ls -A /run/pleat)"
