#!/bin/bash
# The shared library exports exactly what lorac.h declares, and the static library defines nothing else globally.
set -euo pipefail
declared=$(grep -o 'LORAC_API[^;]*' include/lorac.h | grep -o 'lorac_[a-z0-9_]*(' | tr -d '(' | sort -u)
[ -n "$declared" ]

exported=$(nm -D --defined-only "$BUILD/liblorac.so" | awk '{ print $3 }' | sort -u)
if [ -n "$SANITIZE" ]; then
    exported=$(grep '^lorac_' <<<"$exported") # the sanitizer adds its own
fi
diff <(echo "$declared") <(echo "$exported") || { echo "liblorac.so: declared (<) and exported (>) differ"; exit 1; }

[ -z "$SANITIZE" ] || exit 0
global=$(nm -g --defined-only "$BUILD/liblorac.a" | awk 'NF == 3 { print $3 }' | sort -u)
diff <(echo "$declared") <(echo "$global") || { echo "liblorac.a: declared (<) and defined (>) differ"; exit 1; }
