#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# swap_cgroup.sh over the loop transport: a loop device on a FUSE file.
# guest: memory=192M cpus=1 timeout=300 kernel=6.12
TRANSPORT=loop
# shellcheck source-path=SCRIPTDIR source=swap_cgroup.sh
. "$PLEAT_SOURCE/tests/guest/swap_cgroup.sh"
