#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# A file system on the device survives all that file systems do: what was written is read back,
# also after a remount, fsck finds nothing, and trimmed blocks give their memory back.
# guest: memory=256M cpus=2 timeout=120 kernel=7.3
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$PLEAT_SOURCE/tests/guest/lib.sh"

make_device files 192M
step "mkfs, mount, write a tree on $device ($TRANSPORT)"
check mkfs mkfs.ext4 -q "$device"
mkdir -p /tmp/mnt
check mount mount -o nodiscard "$device" /tmp/mnt
cp -r "$PLEAT_SOURCE/src" "$PLEAT_SOURCE/cmake" /tmp/mnt/
cp /usr/bin/fio /bin/bash /tmp/mnt/
dd if=/dev/urandom of=/tmp/mnt/random bs=64k count=160 status=none
dd if=/dev/zero of=/tmp/mnt/zeros bs=1M count=8 status=none
(cd /tmp/mnt && find . -type f ! -path './lost+found*' -exec sha256sum {} + | sort -k 2) >"$work/sums"
echo "   $(wc -l <"$work/sums") files, $(du -sm /tmp/mnt | cut -f1) MiB; mm_stat $(sync; mm_stat files)"

step "unmount, fsck, remount, verify"
check umount umount /tmp/mnt
check fsck e2fsck -f -n "$device"
echo 3 >/proc/sys/vm/drop_caches
check mount mount -o nodiscard "$device" /tmp/mnt
check verify sh -c "cd /tmp/mnt && sha256sum --quiet -c '$work/sums'"

step "delete most of it, fstrim, verify the rest"
before=$(stat_field files orig_data_size)
rm -rf /tmp/mnt/random /tmp/mnt/zeros /tmp/mnt/cmake
sync
check fstrim fstrim -v /tmp/mnt
after=$(stat_field files orig_data_size)
echo "   orig_data_size $before -> $after"
[ $((before - after)) -ge $((17 << 20)) ] || fail "fstrim freed $((before - after)) bytes, not the 18 MiB deleted"
grep -Ev ' \./(random|zeros|cmake)$| \./cmake/' "$work/sums" >"$work/rest"
echo 3 >/proc/sys/vm/drop_caches
check verify sh -c "cd /tmp/mnt && sha256sum --quiet -c '$work/rest'"
check umount umount /tmp/mnt
check fsck e2fsck -f -n "$device"
remove_device files
