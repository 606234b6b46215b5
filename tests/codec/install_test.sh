#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# install_test.sh BUILD_FOLDER SOURCE_FOLDER: installs libpleat to a temporary folder and builds
# and runs a C program found through pkg-config (shared and static) and a C++ one found through
# CMake against it.
set -euo pipefail

build=$1
source=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
prefix=$folder/prefix
cmake --install "$build" --component libpleat --prefix "$prefix" >"$folder/log"

pc=$(dirname "$(find "$prefix" -name pleat.pc)")
export PKG_CONFIG_PATH=$pc
libdir=$(dirname "$pc")
read -ra flags < <(pkg-config --cflags --libs pleat)
cc -std=c11 -Wall -Wextra -Wpedantic -Werror "$source/tests/codec/install/client.c" "${flags[@]}" \
  -o "$folder/client"
LD_LIBRARY_PATH=$libdir "$folder/client"
needed=$(objdump -p "$folder/client")
[[ $needed == *"NEEDED"*"libpleat.so.0"* ]] ||
  { echo "the client does not ask for libpleat.so.0" >&2; exit 1; }

read -ra flags < <(pkg-config --static --cflags --libs-only-other pleat)
read -ra libraries < <(pkg-config --static --libs-only-l pleat)
cc -std=c11 "$source/tests/codec/install/client.c" -I"$prefix/include" "${flags[@]}" \
  -L"$libdir" -Wl,-Bstatic -lpleat -Wl,-Bdynamic "${libraries[@]:1}" -o "$folder/static-client"
"$folder/static-client"
needed=$(objdump -p "$folder/static-client")
if [[ $needed == *libpleat* ]]; then
  echo "the static client uses libpleat.so" >&2
  exit 1
fi

cmake -S "$source/tests/codec/install" -B "$folder/build" -DCMAKE_PREFIX_PATH="$prefix" >>"$folder/log"
cmake --build "$folder/build" >>"$folder/log"
"$folder/build/client"
"$folder/build/static_client"
