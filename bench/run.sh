#!/bin/bash
# The table of docs/performance.md: build/lorac beside its peers (see bench/bench.py; ROUNDS, LINES and PEERS say what).
# With an argument, that script of this folder instead, in the same surroundings: bench/run.sh curves.py measure
set -eu
cd "$(dirname "$0")/.."
export LORAC=${LORAC:-$PWD/build/lorac}
export PYTHONPATH=$PWD/bench:$PWD/tools:$PWD/tools/peers HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false TQDM_DISABLE=1
export PYTHONDONTWRITEBYTECODE=1
[ -x "$LORAC" ] || { echo "$LORAC is not there: make build first"; exit 1; }
command -v python3 >/dev/null || { echo "the bench needs python3"; exit 1; }

# Peers that cannot be had are left out visibly; the scripts say why.
wanted=${PEERS-peft llama.cpp}
PEERS=
for peer in ${wanted//,/ }; do
    case $peer in
    peft) script=tools/make_peers.sh ;;
    llama.cpp) script=tools/make_llama_cpp.sh ;;
    *) echo "PEERS: $peer is unknown; there are peft and llama.cpp"; exit 2 ;;
    esac
    if "$script"; then
        PEERS="$PEERS $peer"
    else
        echo "without $peer"
    fi
done
export PEERS
exec python3 "bench/${1:-bench.py}" "${@:2}"
