#!/bin/bash
# Makes a virtual environment in the cache (once) if it is not complete. Without an argument that of
# tools/peers-requirements.txt (about 6 GB); tools/make_peers.sh NAME that of tools/peers-NAME-requirements.txt: mlx (1 GB),
# peft-0.10 (6 GB), trl (300 MB, on top of the first). Exits with 77 when that cannot be done here, and says why.
set -u
cd "$(dirname "$0")/.." || exit 1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/lorac
environment=$cache/peers${1:+-$1}
requirements=tools/peers${1:+-$1}-requirements.txt
[ -r "$requirements" ] || { echo "$requirements is not there"; exit 1; }

skip() {
    echo "SKIPPED: $*"
    exit 77
}

complete() {
    "$environment/bin/python" - "$requirements" 2>/dev/null <<'PYTHON'
import sys
from importlib.metadata import version
for line in open(sys.argv[1]):
    name, wanted = line.strip().split("==")
    assert version(name).split("+")[0] == wanted
PYTHON
}

complete && exit 0
mkdir -p "$cache" || exit 1
case ${1-} in
mlx | trl) needed=2 ;;
*) needed=10 ;;
esac
free=$(df --output=avail -k "$cache" | tail -1)
[ "$free" -ge "${needed}000000" ] || skip "the peers need $needed GB of free disk in $cache; there are $((free / 1000000)) GB"
command -v python3 >/dev/null || skip "there is no python3"
python3 -m venv "$environment" || skip "python3 -m venv fails; the package python3-venv may be missing"
if [ "${1-}" = trl ]; then
    tools/make_peers.sh || exit
    for packages in "$cache"/peers/lib/python3*/site-packages; do
        echo "$packages" >"$environment/lib/$(basename "$(dirname "$packages")")/site-packages/peers.pth"
    done
fi
echo "installing the peers into $environment (once, some minutes)"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements" ||
    skip "the peers cannot be installed; is there a network?"
