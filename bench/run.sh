#!/bin/bash
# PEFT and build/lorac side by side (see bench/compare.py). Takes up to ten minutes on two cores. ROUNDS=1 halves that.
set -eu
cd "$(dirname "$0")/.."
export LORAC=${LORAC:-$PWD/build/lorac}
export PYTHONPATH=$PWD/tools:$PWD/tools/peers HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false TQDM_DISABLE=1
peers=${XDG_CACHE_HOME:-$HOME/.cache}/lorac/peers
if [ ! -x "$peers/bin/python" ]; then
    echo "PEFT is not installed; make test-peers installs it into $peers" >&2
    exit 1
fi
exec "$peers/bin/python" -W ignore bench/compare.py
