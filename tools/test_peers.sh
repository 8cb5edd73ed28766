#!/bin/bash
# Compares build/lorac with what others have written: runs every tools/peers/check_*.py in a virtual environment with
# pinned versions. The environment (about 6 GB) is made once and kept in the cache. Exits 0 when nothing failed; what
# could not be run is named. LORAC is the program to test; without it, build/lorac.
#     tools/test_peers.sh                      all checks
#     tools/test_peers.sh --more               the same, and makes the environments of mlx-lm, of PEFT 0.10 and of TRL (another
#                                              8 GB), without which their checks are skipped
#     tools/test_peers.sh NAME [ARGUMENT]...   check_NAME.py alone, with these arguments
set -u
cd "$(dirname "$0")/.." || exit 1
environment=${XDG_CACHE_HOME:-$HOME/.cache}/lorac/peers
export LORAC=${LORAC:-$PWD/build/lorac}
export PYTHONPATH=$PWD/tools:$PWD/tools/peers HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false TQDM_DISABLE=1

[ -x "$LORAC" ] || { echo "$LORAC is not there: make build first"; exit 1; }
for name in "$@"; do
    [ "$name" != --more ] || continue
    [ -e "tools/peers/check_$name.py" ] || { echo "there is no tools/peers/check_$name.py"; exit 2; }
    break
done
code=0
tools/make_peers.sh || code=$?
[ "$code" -ne 77 ] || exit 0
[ "$code" -eq 0 ] || exit "$code"

if [ "${1-}" = --more ]; then
    shift
    for more in mlx peft-0.10 trl; do
        code=0
        tools/make_peers.sh "$more" || code=$?
        [ "$code" -eq 0 ] || [ "$code" -eq 77 ] || exit "$code"
    done
fi
if [ $# -gt 0 ]; then
    exec "$environment/bin/python" -W ignore "tools/peers/check_$1.py" "${@:2}"
fi

failed=()
skipped=()
for check in tools/peers/check_*.py; do
    name=$(basename "$check" .py)
    echo "== $name"
    start=$SECONDS
    "$environment/bin/python" -W ignore "$check"
    code=$?
    echo "   $((SECONDS - start)) s"
    case $code in
    0) ;;
    77) skipped+=("$name") ;;
    *) failed+=("$name") ;;
    esac
done
[ ${#skipped[@]} -eq 0 ] || echo "SKIPPED: ${skipped[*]}"
[ ${#failed[@]} -eq 0 ] || { echo "FAILED: ${failed[*]}"; exit 1; }
echo "the peers agree"
