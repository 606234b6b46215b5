#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# The same operations on a kernel zram device and on ours give the same statistics: every count
# exactly, sizes that codec and pool decide within bounds.
# guest: memory=256M cpus=2 timeout=240 kernel=7.3
# expect-kernel: I/O error|critical space allocation error
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$PLEAT_SOURCE/tests/guest/lib.sh"

[ "$TRANSPORT" != zram ] || fail "this compares with zram"
size=8M
make_device ours "$size" --algorithm lz4  # which pages are huge is the codec's choice
ours=$device
TRANSPORT=zram make_device theirs "$size"
theirs=$device
theirs() { TRANSPORT=zram "$@"; }

compare() {
  local index field a b our_line their_line
  sync
  our_line=$(mm_stat ours)
  their_line=$(theirs mm_stat theirs)
  echo "   zram  $their_line"
  echo "   pleat $our_line"
  # shellcheck disable=SC2206  # the lines are numbers and spaces
  local our_numbers=($our_line) their_numbers=($their_line)
  for index in "${!mm_stat_fields[@]}"; do
    field=${mm_stat_fields[index]}
    a=${our_numbers[index]}
    b=${their_numbers[index]}
    case $field in
      # Ours compacts by itself.
      pages_compacted) ;;
      # Our LZ4 may compress 2 % worse than the kernel's; the pool rounds differently, and holds its
      # last pages of each size class in part.
      compr_data_size) [ "$a" -le $((b * 102 / 100 + 256)) ] || fail "after $1: $field is $a, zram's $b" ;;
      mem_used_*) [ "$a" -le $((b * 115 / 100 + (512 << 10))) ] || fail "after $1: $field is $a, zram's $b" ;;
      *) [ "$a" = "$b" ] || fail "after $1: $field is $a, zram's $b" ;;
    esac
  done
  # Kernels after 6.4 print a bare 0 for invalid_io where older ones, and we, print a column.
  a=$(io_stat ours | tr -s ' ')
  b=$(theirs io_stat theirs | tr -s ' ')
  [ "$a" = "$b" ] || fail "after $1: io_stat is '$a', zram's '$b'"
}

# both WHAT COMMAND...: runs the command on each device, DEVICE standing for its path.
both() {
  local what=$1 path
  shift
  for path in "$ours" "$theirs"; do
    check "$what on $path" "${@//DEVICE/$path}"
  done
  step "$what"
  compare "$what"
}

step "new devices"
compare "creation"
both "zeros" dd if=/dev/zero of=DEVICE bs=64k count=16 oflag=direct
both "same-filled pages" "$helpers/block_checker" DEVICE --operations 60 --kind same --frees no --seed 11
both "compressible pages" "$helpers/block_checker" DEVICE --operations 120 --kind compressible --frees no --seed 12
both "incompressible pages" "$helpers/block_checker" DEVICE --operations 60 --kind random --frees no --seed 13
both "overwrites, discards and write-zeroes" "$helpers/block_checker" DEVICE --operations 300 --seed 14
both "discard of stored and of empty pages" blkdiscard --offset 1M --length 3M DEVICE
both "discard of empty pages" blkdiscard --offset 2M --length 1M DEVICE
both "write-zeroes" blkdiscard --zeroout --offset 5M --length 1M DEVICE

step "a limit below what is stored: writes fail and the old page stays"
echo 4096 >"/sys/block/${theirs#/dev/}/mem_limit"
check "setting mem_limit" "$bin/pleat" set ours mem-limit=4096
for path in "$ours" "$theirs"; do
  for page in 100 101 102; do
    before=$(dd if="$path" bs=4k count=1 skip=$page iflag=direct status=none | sha256sum)
    ! dd if=/dev/urandom of="$path" bs=4k count=1 seek=$page oflag=direct 2>/dev/null ||
      fail "a write above mem_limit succeeded on $path"
    after=$(dd if="$path" bs=4k count=1 skip=$page iflag=direct status=none | sha256sum)
    [ "$before" = "$after" ] || fail "a failed write changed page $page of $path"
  done
done
compare "failed writes"
both "same-filled pages above the limit" dd if=/dev/zero of=DEVICE bs=4k count=4 seek=100 oflag=direct

both "discard of everything" blkdiscard DEVICE
[ "$(stat_field ours mem_used_total)" = 0 ] || fail "nothing is stored, but mm_stat is $(mm_stat ours)"
remove_device ours
TRANSPORT=zram remove_device theirs
