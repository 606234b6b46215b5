#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# tier_symbols_test.sh OBJECT...: no weak symbol of a tier's object has that tier's instructions.
#
# The linker keeps one copy of a weak symbol (an inline function of a header, for instance) for the
# whole program. Were it the copy that a tier's object compiled for AVX, a program on a lesser
# processor would run into it from code that never chose the tier.
set -euo pipefail

objdump=${OBJDUMP:-objdump}
checked=0
for object in "$@"; do
  weak=$("$objdump" --syms "$object" | awk '$2 == "w" || $2 == "u" || $3 == "w" { print $NF }' | sort -u)
  vector_functions=$("$objdump" --disassemble --no-show-raw-insn "$object" |
    awk '/^[0-9a-f]+ <.*>:$/ { name = substr($2, 2, length($2) - 3) }
         /%[yz]mm[0-9]|%k[0-7]|\t(shlx|shrx|sarx|mulx|bextr|blsr|blsi|blsmsk|pdep|pext|andn|rorx)/ { print name }' |
    sort -u)
  # A tier's object without its instructions would make this test pass for nothing.
  if [[ -z $vector_functions ]]; then
    echo "$object: no instruction of a tier found; the target region has no effect" >&2
    exit 1
  fi
  leaked=$(comm -12 <(echo "$weak") <(echo "$vector_functions") | sed '/^$/d')
  if [[ -n $leaked ]]; then
    echo "$object: weak symbols with instructions of the tier:" >&2
    echo "$leaked" | c++filt >&2
    exit 1
  fi
  echo "$object: $(wc -w <<<"$vector_functions") functions of the tier, none of them weak"
  checked=$((checked + 1))
done
((checked > 0))
