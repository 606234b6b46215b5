#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# filesystem.sh over the loop transport: a loop device on a FUSE file.
# guest: memory=256M cpus=2 timeout=120 kernel=7.3
TRANSPORT=loop
# shellcheck source-path=SCRIPTDIR source=filesystem.sh
. "$PLEAT_SOURCE/tests/guest/filesystem.sh"
