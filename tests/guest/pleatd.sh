#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# The daemon's own tests with all capabilities, which a container on the host may lack: threads that
# are I/O flushers, and processes that the OOM killer spares.
# guest: memory=384M cpus=1 timeout=400 kernel=6.12
# expect-kernel: I/O error|critical space allocation error
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$PLEAT_SOURCE/tests/guest/lib.sh"

step "pleatd_test"
# Successions are tested under load by daemon_killed and worker_killed.
"$PLEAT_BUILD/tests/daemon/pleatd_test" --gtest_brief=1 '--gtest_filter=-Succession.*' "$@"
