#!/bin/bash
# The demo, short and offline: it runs through, and training lowers the loss.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

export LORAC_DEMO_MODEL=tiny LORAC_DEMO_STEPS=20 LORAC_DEMO_ROWS=3 LORAC_DEMO_DIR=$folder/demo
tools/demo.sh | tee "$folder/printed"
test -s "$folder/demo/adapter/adapter_model.safetensors"
test "$(grep -c 'right to the letter: [0-9]* of 3' "$folder/printed")" -eq 2

loss() {
    "$LORAC" eval -m tiny --data examples/requests/test.jsonl --json "$@" | sed -nE 's/.*"loss": *([0-9.]+).*/\1/p'
}
before=$(loss)
after=$(loss --adapter "$folder/demo/adapter")
echo "loss on the test rows: $before before, $after after"
awk -v before="$before" -v after="$after" 'BEGIN { exit !(after < 0.5 * before) }'
