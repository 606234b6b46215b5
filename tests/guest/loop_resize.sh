#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# resize.sh over the loop transport: a loop device on a FUSE file.
# guest: memory=256M cpus=2 timeout=240 kernel=7.3
TRANSPORT=loop
# shellcheck source-path=SCRIPTDIR source=resize.sh
. "$PLEAT_SOURCE/tests/guest/resize.sh"
