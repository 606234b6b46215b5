#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# A soft-reboot, which ends all of userspace but what is meant to survive: the daemons go on, with
# every page; swap that is a unit is off meanwhile and on again afterwards, and a survivor gets its pages
# back; file systems can be mounted again. With the argument next-root it is one into another root.
# guest: memory=256M cpus=1 timeout=300 init=systemd kernel=7.3
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$PLEAT_SOURCE/tests/guest/lib.sh"

version=$(systemctl --version)
version=${version#systemd } && version=${version%% *}
if [ "$version" -lt 254 ]; then
  echo "skipped: soft-reboot takes systemd 254, and this is $version; tools/newer-systemd fetches one"
  exit 77
fi
units=/run/systemd/system
devices=(swap0 raw0 loop0)

# What must be the same afterwards: who serves the devices.
processes() {
  local name
  for name in "${devices[@]}"; do echo "$name: guardian $(guardian_of "$name"), worker $(worker_of "$name")"; done
}
show() { systemctl show --property "$2" --value "$1"; }
main_processes() {
  local name
  for name in "${devices[@]}"; do echo "$name: $(show "pleatd@$name" MainPID)"; done
}
# KiB in use of a swap, or nothing where it is off.
swapped_kib() { awk -v device="$1" '$1 == device { print $4 }' /proc/swaps; }
# The host's files once again, with what this guest has on top of them, and one file more.
make_next_root() {
  local place
  mkdir /run/nextroot
  check mount mount -t hostfs -o / none /run/nextroot
  findmnt --raw --noheadings --output TARGET >"$work/mounts"
  while read -r place; do
    # The latter four come along by themselves.
    case $place in / | /run | /run/* | /proc | /proc/* | /sys | /sys/* | /dev | /dev/*) continue ;; esac
    check mount mount --bind "$place" "/run/nextroot$place"
  done <"$work/mounts"
  check mount mount -t tmpfs tmpfs /run/nextroot/mnt
  touch /run/nextroot/mnt/next-root
}
before() {
  install_units
  # A time-out of the watchdog comes soon after the soft-reboot, if it comes.
  printf '[Service]\nWatchdogSec=4\n' >"$units/pleatd@.service.d/watchdog.conf"
  for name in "${devices[@]}"; do echo 'PLEATD_ARGS=--size 32M' >"/run/$name.conf"; done
  echo 'PLEATD_ARGS=--size 32M --transport loop' >/run/loop0.conf
  mkdir "$units/swap.target.wants"
  ln -s ../pleat-swap@.service "$units/swap.target.wants/pleat-swap@swap0.service"
  # Survives by the same means as pleatd@.service.
  cat >"$units/checker.service" <<EOF
[Unit]
DefaultDependencies=no
IgnoreOnIsolate=yes
[Service]
Slice=system.slice
ExecStart=@$helpers/memory_checker @memory_checker --mib 24 --processes 1 --ready $work/ready --go $work/go
StandardOutput=file:$work/checker.out
EOF
  # What comes after it: default.target, and in it the rest of this scenario.
  printf '[Unit]\nWants=swap.target after.service\n' >"$units/default.target"
  sed 's,^ExecStart=.*,& after,; s,^IgnoreOnIsolate=.*,After=swap.target,' "$units/guest.service" >"$units/after.service"
  check daemon-reload systemctl daemon-reload

  step "systemd $version: devices with a file system, with raw data, and as swap"
  check start systemctl start pleat-swap@swap0 pleatd@raw0 pleatd@loop0
  check start systemctl start checker
  wait_until 60 [ -e "$work/ready" ] || fail "memory_checker does not get its memory"
  # It fails where it has written less.
  echo 20M >/sys/fs/cgroup/system.slice/checker.service/memory.reclaim || true
  swapped=$(swapped_kib "$(device_of swap0)")
  [ "$swapped" -ge 16384 ] || fail "no pages in swap: $(cat /proc/swaps)"
  echo "   $swapped KiB swapped out"
  # Whose daemon was not started by systemd.
  check reload systemctl reload pleatd@raw0
  dd if="$helpers/memory_checker" of="$(device_of raw0)" bs=4k conv=sync oflag=direct 2>/dev/null
  check mkfs mkfs.ext4 -q "$(device_of loop0)"
  mkdir /run/files
  check mount mount "$(device_of loop0)" /run/files
  cp "$bin/pleat" /run/files
  processes >"$work/processes"
  main_processes >"$work/main"
  touch /run/goes-on
  [ -z "$next_root" ] || make_next_root
  step "soft-reboot${next_root:+ into another root}"
  exec systemctl soft-reboot
}

# must_be_as_before FILE COMMAND...: a command says what it said before.
must_be_as_before() {
  "${@:2}" >"$work/$1.now"
  diff "$work/$1" "$work/$1.now" || fail "another $1 than before the soft-reboot"
}
# shellcheck disable=SC2317  # wait_until calls it
checker_has_ended() { [ "$(show checker ActiveState)" != active ]; }
data_is_there() {
  cmp -n "$(stat --format %s "$helpers/memory_checker")" "$helpers/memory_checker" "$(device_of raw0)" || fail "$1: raw0 has lost data"
  check mount mount "$(device_of loop0)" /run/files
  cmp "$bin/pleat" /run/files/pleat || fail "$1: the file system has lost data"
  check umount umount /run/files
}

after() {
  rm /run/goes-on
  [ -z "$next_root" ] || [ -e /mnt/next-root ] || fail "this is the old root"
  step "the same processes serve the same devices"
  must_be_as_before processes processes
  must_be_as_before main main_processes
  for name in "${devices[@]}"; do
    [ "$(show "pleatd@$name" ActiveState)" = active ] || fail "$name: $(show "pleatd@$name" ActiveState)"
  done
  "$bin/pleat" list
  data_is_there "soft-reboot"
  # Longer than the watchdog's time.
  pause 6
  must_be_as_before main main_processes

  step "swap is on again, and what survives has its pages"
  [ "$(show pleat-swap@swap0 ActiveState)" = active ] || fail "pleat-swap@swap0: $(show pleat-swap@swap0 ActiveState)"
  # Its pages are back: it was off meanwhile.
  [ "$(swapped_kib "$(device_of swap0)")" -lt 8192 ] || fail "no other swap: $(cat /proc/swaps)"
  touch "$work/go"
  wait_until 60 checker_has_ended || fail "checker.service does not end"
  [ "$(show checker Result) $(show checker ExecMainStatus)" = "success 0" ] ||
    fail "checker.service: $(show checker Result): $(cat "$work/checker.out")"

  step "restart, and stop"
  for name in "${devices[@]}"; do check restart systemctl restart "pleatd@$name"; done
  main_processes >"$work/main.now"
  for name in "${devices[@]}"; do
    ! grep -Fqx "$(grep "^$name:" "$work/main")" "$work/main.now" || fail "$name: no restart"
  done
  data_is_there "restart"
  check stop systemctl stop "${devices[@]/#/pleatd@}"
  [ "$(wc -l </proc/swaps)" = 1 ] || fail "swap is left: $(cat /proc/swaps)"
  wait_until 5 store_is_gone || fail "the store's memory is left over: $(cat /proc/sysvipc/shm)"
  [ -z "$(leftovers)" ] || fail "left over: $(leftovers)"
}

next_root=
[ "${1:-}" != next-root ] || { next_root=1 && shift; }
"${1:-before}"
