#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# exports_test.sh LIBRARY HEADER: the library exports what the header declares, all of it and
# nothing else.
set -euo pipefail

declared=$(tr '\n' ' ' <"$2" | grep -oE 'PLEAT_API [^;(]*\(' | grep -oE 'pleat_[a-z_]+ *\(' | tr -d ' (' | sort -u)
exported=$("${NM:-nm}" --dynamic --defined-only "$1" | awk '$2 != "A" { print $3 }' | sed 's/@.*//' | sort -u)
if [[ $(wc -w <<<"$declared") -lt 10 ]]; then
  echo "found only $(wc -w <<<"$declared") declarations in $2" >&2
  exit 1
fi
diff <(echo "$declared") <(echo "$exported") ||
  { echo "left: declared in $2; right: exported by $1" >&2; exit 1; }
echo "$(wc -w <<<"$exported") symbols, as declared"
"${NM:-nm}" --dynamic --defined-only "$1" | awk '$2 != "A" && $3 !~ /@@PLEAT_0$/ { print; bad = 1 } END { exit bad }'
