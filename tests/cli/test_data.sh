#!/bin/bash
# Row files of every form and with every fault: data check, show and stats, and what truncation costs.
set -u
# shellcheck source=tests/cli/common.bash
. "$(dirname "$0")/common.bash"
model=examples/tiny-llama

# ---- Forms
cat >"$work/forms.jsonl" <<'ROWS'
{"messages":[{"role":"user","content":"one"},{"role":"assistant","content":"two"}]}
{"conversations":[{"from":"human","value":"one"},{"from":"gpt","value":"two"}]}
{"instruction":"one","input":"","output":"two"}
{"messages":[{"role":"user","content":[{"type":"text","text":"one"}]},{"role":"assistant","content":"two"}],"text":"no"}
ROWS
run 0 data show -m "$model" --data "$work/forms.jsonl" --json
lines "$out" 4
[ "$(sort -u "$out" | wc -l)" = 1 ] || fail "four forms of the same row differ"

# ---- What is trained is seen without colour
NO_COLOR=1 run 0 data show -m "$model" --data "$work/forms.jsonl" --rows 1
out_has '^(⟦|\[\[)two'
out_has '^(⟧|\]\])'
out_has '(⟦|\[\[)trained(⟧|\]\]), not trained'
grep -q $'\033' "$out" && fail "colour in a file"

# ---- Every fault in one run
{
    printf '\xef\xbb\xbf{"text":"fine"}\r\n\r\n   \n' # a byte order mark, \r\n and blank lines are none
    printf '{"text":"a" "b"}\n{"text":"caf\xe9"}\n{"text":"a","text":"b"}\n{"text":"\\u0000"}\n{"text":"a\x00b"}\n[1]\n'
    printf '{"text":"open\n{"messages":[{"role":"user","content":"q"},{"content":"a"}]}\n'
    printf '{"messages":[{"role":"user","content":[{"type":"image","url":"u"}]}]}\n{"text":"\xc3\xa9","weight":-1}\n'
    printf '{"input_ids":[1,2,"x"]}\n{"x":%s%s}\n' "$(printf '[%.0s' {1..300})" "$(printf ']%.0s' {1..300})"
    printf '{"text":"'
    head -c 16800000 /dev/zero | tr '\0' x
    printf '"}\n{"text":"fine too"}\n{"other":1}\n{"input_ids":[1,2],"labels":[-100,-100]}\n{"text":"last"} more'
} >"$work/bad.jsonl"
cat >"$work/expected" <<'PLACES'
4:15
5:13
6:18
7:16
8:10
9:1
10:13
11:44
12:48
13:22
14:19
15:261
16:1
18:1
19:1
20:20
PLACES
run 3 data check -m "$model" --data "$work/bad.jsonl"
grep -o 'bad\.jsonl:[0-9]*:[0-9]*' "$err" | cut -d: -f2- >"$work/places"
same "$work/places" "$work/expected"
err_has '^18 rows, 16 bad$'
cp "$err" "$work/two"
run 3 data check -m "$model" --data "$work/bad.jsonl" --threads 1
same "$err" "$work/two"
run 3 data check -m "$model" --data "$work/bad.jsonl" --json
json_keys error rows bad truncated dropped errors
out_has '"rows":18,"bad":16,'
# One of several files is missing, and others have bad rows: all of it is said
printf '{"text":"fine"}\n{"text":1}\n' >"$work/first.jsonl"
mkdir "$work/folder"
cp "$work/first.jsonl" "$work/folder/train.jsonl"
cp "$work/first.jsonl" "$work/folder/valid.jsonl"
run 3 data check -m "$model" --data "$work/first.jsonl:2,$work/none.jsonl,$work/folder"
err_has 'first\.jsonl:2:9: '
err_has 'none\.jsonl: cannot open'
err_has 'train\.jsonl:2:9: '
err_has 'valid\.jsonl:2:9: '
err_has '^6 rows, 4 bad$'
run 2 data check -m "$model" --data "$work/first.jsonl:many"

printf 'text\nfine\n"open, and\nso on\n' >"$work/bad.csv" # what follows an open quote is one bad row
run 3 data check -m "$model" --data "$work/bad.csv"
err_has 'bad\.csv:3:1: '
err_has '^2 rows, 1 bad$'
printf '\xff\xfe{\x00' >"$work/wide.jsonl"
run 3 data check -m "$model" --data "$work/wide.jsonl"
err_has 'wide\.jsonl:1:1: .*UTF-16'

# ---- Many rows: the same with any number of threads, and in their order
seq 1 1500 | sed 's/.*/{"text":"row & of &&&"}/; 399~400s/"row.*"/5/' >"$work/many.jsonl"
run 3 data check -m "$model" --data "$work/many.jsonl" --threads 3
[ "$(grep -o 'jsonl:[0-9]*' "$err" | tr '\n' ' ')" = "jsonl:399 jsonl:799 jsonl:1199 " ] || fail "bad rows are missing or not in order"
sed -i '/^{"text":[0-9]/d' "$work/many.jsonl"
run 0 data show -m "$model" --data "$work/many.jsonl" --json --threads 1
cp "$out" "$work/one"
run 0 data show -m "$model" --data "$work/many.jsonl" --json --threads 3
same "$out" "$work/one"

# ---- What truncation costs is said once, with the flag
cat >"$work/long.jsonl" <<'ROWS'
{"input_ids":[5,6,7,8,9,10],"labels":[-100,6,7,8,9,10]}
{"input_ids":[5,6,7,8,9,10],"labels":[-100,6,7,-100,-100,10]}
{"input_ids":[5,6,7,8,9,10],"labels":[-100,-100,-100,-100,9,10]}
{"input_ids":[5,6,7],"labels":[-100,6,7]}
ROWS
said='^3 rows are longer than --max-seq-length.*: 1 within a trained turn.*; 1 with nothing left to train'
run 0 data check -m "$model" --data "$work/long.jsonl" --max-seq-length 3
err_has "$said"
run 0 data check -m "$model" --data "$work/long.jsonl" --max-seq-length 3 --json
out_has '"truncated":3,"cut_turns":1,"dropped":1'
run 0 data stats -m "$model" --data "$work/long.jsonl" --max-seq-length 3
out_has '3 rows .75.0 %. have more than 3 tokens .--max-seq-length.'
out_has '1 would be cut within a trained turn'
run 0 data stats -m "$model" --data "$work/long.jsonl" --max-seq-length 3 --json
out_has '"tokens":21,"trained_tokens":12,'
out_has '"truncated":3,"cut_turns":1,"dropped":1'
run 0 eval -m "$model" --data "$work/long.jsonl" --max-seq-length 3
err_has "$said"
run 0 train -m "$model" --data "$work/long.jsonl" --max-seq-length 3 --steps 1 --rank 2 --log plain -o "$work/run"
err_has "$said"
[ "$(grep -c max-seq-length "$err")" = 1 ] || fail "said more than once"
run 0 data check -m "$model" --data "$work/long.jsonl"
grep -q max-seq-length "$err" && fail "nothing is cut"

# ---- A template whose turns end without a special token of the model: said once, by name
said='^2 rows: with the chat template gemma .*nothing teaches it to stop'
printf '{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"}]}\n' >"$work/turn.jsonl"
run 0 data check -m "$model" --data "$work/turn.jsonl"
grep -q 'to stop' "$err" && fail "the turn has its end"
run 0 data check -m "$model" --data "$work/turn.jsonl,$work/turn.jsonl" --chat-template gemma
err_has "$said"
[ "$(grep -c 'to stop' "$err")" = 1 ] || fail "said more than once"
run 0 data check -m "$model" --data "$work/turn.jsonl" --chat-template gemma --json
out_has '"endless":1'
run 0 data check -m "$model" --data "$work/turn.jsonl" --chat-template gemma --loss-on all
grep -q 'to stop' "$err" && fail "no turn was asked for"
run 0 train -m "$model" --data "$work/turn.jsonl,$work/turn.jsonl" --chat-template gemma --steps 1 --rank 2 --log plain -o "$work/endless"
err_has "$said"

finish
