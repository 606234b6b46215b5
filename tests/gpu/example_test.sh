#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# example_test.sh LIBRARY SOURCE_FOLDER: the example in docs/gpu.md is C that compiles without a
# warning, and does what it says with LIBRARY.
set -euo pipefail

library=$1
source=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
sed -n '/^```c$/,/^```$/{/^```/!p}' "$source/docs/gpu.md" >"$folder/example.c"
cc -std=c11 -Wall -Wextra -Wpedantic -Werror -I"$source/include" -I"$folder" \
  "$source/tests/gpu/vram_client.c" "$library" -o "$folder/client"
for codec in line lz4; do
  LD_LIBRARY_PATH=$(dirname "$library") "$folder/client" "$codec"
done
