#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# fio writes with checksums and reads back: request sizes from one block to 512 KiB, one to 32
# requests in flight, several engines, trims among the writes, one queue and two.
# guest: memory=256M cpus=2 timeout=240 kernel=7.3
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$PLEAT_SOURCE/tests/guest/lib.sh"

size=$([ -n "$long" ] && echo 128M || echo 12M)

# The jobs that every shape of device has to pass, one after the other; one process, since fio takes longer to
# start than for any of them. The first argument is the block size.
fio_jobs() {
  local jobs=(
    --name=mixed-sizes --ioengine=libaio --iodepth=32 --rw=randwrite --bsrange="$1-512k" --blockalign="$1"
    --name=depth-1 --ioengine=psync --iodepth=1 --rw=randwrite --bs=4k --io_size=4M
    --name=depth-8 --ioengine=io_uring --iodepth=8 --rw=randrw "--bs=4k,4k" --io_size=8M
    --name=large --ioengine=libaio --iodepth=8 --rw=write --bs=512k
    --name=trims --ioengine=libaio --iodepth=8 --rw=randtrimwrite --bs=4k --io_size=4M
  ) status=0
  timeout 200 fio --filename="$device" --size="$size" --direct=1 --thread --stonewall \
    --verify=crc32c --verify_fatal=1 --verify_state_save=0 --randrepeat=1 --eta=never --output="$work/fio.out" "${jobs[@]}" ||
    status=$?
  [ "$status" = 0 ] && [ "$(grep -Ec '^[a-z0-9-]+: \(groupid=.*err= 0:' "$work/fio.out")" = 5 ] ||
    { cat "$work/fio.out"; fail "fio: exit status $status, or not five jobs without an error"; }
  grep -Eo '^[a-z0-9-]+: \(groupid|(WRITE|READ|TRIM): bw=[^ ]*' "$work/fio.out"
}

for queues in $([ "$(nproc)" -gt 1 ] && echo 1 2 || echo 1); do
  for block in 4096 512; do
    step "$queues queue(s), blocks of $block bytes ($TRANSPORT)"
    [ "$TRANSPORT" != zram ] || [ "$block" = 4096 ] || continue
    make_device io0 128M --queues "$queues" --block-size "$block"
    fio_jobs "$block"
    remove_device io0
  done
done
