#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# daemon_killed.sh over the loop transport: a loop device on a FUSE file.
# guest: memory=256M cpus=1 timeout=400 kernel=7.3
# expect-kernel: I/O error|EXT4-fs (error|warning)|JBD2|Read-error on swap|Write-error on swap|lost a?sync page write
# expect-kernel: memory_checker\[[0-9]+\]: segfault at
# Swap that fails for good leaves a program of the control group to the OOM killer; where it does not fail, a
# program so killed fails the scenario by its exit status.
# expect-kernel: memory_checker invoked oom-killer|oom-kill:constraint=CONSTRAINT_MEMCG,.*oom_memcg=/limited,
TRANSPORT=loop
# shellcheck source-path=SCRIPTDIR source=daemon_killed.sh
. "$PLEAT_SOURCE/tests/guest/daemon_killed.sh"
