#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# The ublk transport without the daemon: requests, statistics, start, stop, and every way for a
# server to die.
# guest: memory=256M cpus=2 timeout=300
# expect-kernel: ublkb[0-9]+.* I/O error|I/O error, dev ublkb
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$PLEAT_SOURCE/tests/guest/lib.sh"

step "ublk_device_test"
"$PLEAT_BUILD/tests/device/ublk_device_test" "$@"
