#!/bin/bash
# clang-format, clang-tidy and cppcheck over the C code, shellcheck over the scripts. Stops at the first tool that complains.
set -euo pipefail
cd "$(dirname "$0")/.."
git ls-files -z '*.c' '*.h' | xargs -0 clang-format --dry-run -Werror # make format puts it right
cmake --preset asan -DLORAC_TESTS=ON >/dev/null # clang's flags, with asserts
find tools tests cmake bench .ci \( -name '*.sh' -o -path .ci/run \) -print0 | xargs -0 shellcheck -x

# The kernel templates are compiled through stubs in the build folder; these tools would see them without their flags.
mapfile -t sources < <(find src cli -name '*.c' -not -path 'src/kernel/cpu/*' | sort)
mapfile -t includes < <(find src -type d -printf '-I%p\n')
cppcheck --quiet --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=1 --library=posix \
    --suppressions-list=tools/cppcheck-suppressions.txt -D__x86_64__ -Iinclude "${includes[@]}" "${sources[@]}"
# clang-tidy counts on stderr what it does not show: what system headers would be warned of.
printf '%s\0' "${sources[@]}" | xargs -0 -P "$(nproc)" -n 4 clang-tidy -p build-asan --quiet --warnings-as-errors='*' \
    2> >(grep -vE '^[0-9]+ warnings? (generated|treated)' >&2)
echo "nothing to complain of"
