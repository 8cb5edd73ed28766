#!/bin/bash
# Runs every libFuzzer target for the given number of seconds from its corpus. New inputs are kept in build-fuzz/corpus; a
# crash is left in build-fuzz/crashes and belongs into tests/fuzz/corpus once it is mended.
#   fuzz.sh 60
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
cmake --preset fuzz -DLORAC_TESTS=ON
cmake --build build-fuzz
mkdir -p build-fuzz/crashes
for target in build-fuzz/tests/fuzz/fuzz_*; do
    if [ ! -f "$target" ] || [ ! -x "$target" ]; then
        continue
    fi
    name=$(basename "$target")
    name=${name#fuzz_}
    mkdir -p "build-fuzz/corpus/$name"
    echo "== $name"
    "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
        -artifact_prefix="build-fuzz/crashes/$name-" "build-fuzz/corpus/$name" "tests/fuzz/corpus/$name" </dev/null
done
