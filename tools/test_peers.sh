#!/bin/bash
# Compares build/lorac with what others have written: runs every tools/peers/check_*.py in a virtual environment with
# pinned versions. The environment (about 6 GB) is made once and kept in the cache. Exits 0 when nothing failed; what
# could not be run is named. LORAC is the program to test; without it, build/lorac.
set -u
cd "$(dirname "$0")/.." || exit 1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/lorac
environment=$cache/peers
export LORAC=${LORAC:-$PWD/build/lorac}
export PYTHONPATH=$PWD/tools:$PWD/tools/peers HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false TQDM_DISABLE=1

skip() {
    echo "SKIPPED: $*"
    exit 0
}

complete() {
    "$environment/bin/python" - tools/peers-requirements.txt 2>/dev/null <<'PYTHON'
import sys
from importlib.metadata import version
for line in open(sys.argv[1]):
    name, wanted = line.strip().split("==")
    assert version(name).split("+")[0] == wanted
PYTHON
}

make_environment() {
    mkdir -p "$cache" || exit 1
    local free
    free=$(df --output=avail -k "$cache" | tail -1)
    [ "$free" -ge 10000000 ] || skip "the peers need 10 GB of free disk in $cache; there are $((free / 1000000)) GB"
    command -v python3 >/dev/null || skip "there is no python3"
    python3 -m venv "$environment" || skip "python3 -m venv fails; the package python3-venv may be missing"
    echo "installing the peers into $environment (once, some minutes)"
    "$environment/bin/pip" install --quiet --disable-pip-version-check -r tools/peers-requirements.txt ||
        skip "the peers cannot be installed; is there a network?"
}

[ -x "$LORAC" ] || { echo "$LORAC is not there: make build first"; exit 1; }
complete || make_environment

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
