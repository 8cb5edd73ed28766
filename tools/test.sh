#!/bin/bash
# Builds each given preset with warnings as errors, runs its tests, and closes with a summary.
#   test.sh release asan
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
jobs=$(nproc)
summary=()
result=0

# What ctest's log of a build folder says about single cases, and which of them were skipped.
count() {
    local log=$1/Testing/Temporary/LastTest.log passed skipped
    passed=$(sed -nE 's/^\[  PASSED  \] ([0-9]+) test.*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
    skipped=$(sed -nE 's/^\[  SKIPPED \] ([a-z0-9_]+)$/\1/p' "$log" | sort -u | tr '\n' ' ')
    echo "$passed cases passed${skipped:+, skipped: $skipped}"
}

for preset in "$@"; do
    folder=build
    [ "$preset" = release ] || folder=build-$preset
    start=$SECONDS
    if ! { cmake --preset "$preset" -DLORAC_TESTS=ON -DLORAC_WERROR=ON && cmake --build "$folder"; }; then
        summary+=("$preset: does not build")
        result=1
        continue
    fi
    built=$SECONDS
    if (cd "$folder" && ctest --output-on-failure -j "$jobs"); then
        verdict=passed
    else
        verdict=FAILED
        result=1
    fi
    summary+=("$preset: $verdict, $(count "$folder") (built in $((built - start)) s, run in $((SECONDS - built)) s)")
    if [ -s "$folder/Testing/Temporary/LastTestsFailed.log" ] && [ $verdict = FAILED ]; then
        summary+=("    $(cut -d: -f2 "$folder/Testing/Temporary/LastTestsFailed.log" | tr '\n' ' ')")
    fi
done

echo
printf '%s\n' "${summary[@]}"
exit $result
