#!/bin/bash
# docs/templates.md names everything the template engine has: filters, tests, functions, methods, statements, built-in templates; and
# the limits as they are.
set -uo pipefail
# shellcheck source=tests/cli/common.bash
. "$(dirname "$0")/common.bash"

page=docs/templates.md
[ -r "$page" ] || { echo "skipped: $page is not there"; exit 77; }
touch "$out" "$err"

# The names in the tables of these files.
entries() {
    grep -ohE '\{ "[^"]+", (filter_|test_|run_|VALUE_|NODE_|value_of)' "$@" | sed -E 's/^\{ "([^"]+)".*/\1/' | sort -u
}

count=0
for name in $(entries src/text/jinja/jinja_{filters,sequences,tests,methods,str,functions,parse,exec}.c) previtem nextitem; do
    count=$((count + 1))
    grep -qF -e "\`$name\`" -e "\`$name(" -e "\"$name\"" "$page" || fail "$page does not name $name"
done
[ "$count" -gt 150 ] || fail "only $count names were found in the sources"

printf '{"messages":[{"role":"user","content":"x"}]}' >"$work/messages.json"
count=0
while read -r name; do
    count=$((count + 1))
    grep -qF "\`$name\`" "$page" || fail "$page does not name the built-in template $name"
    run 0 template --chat-template "$name" --bos "<s>" --eos "</s>" --messages "$work/messages.json"
done < <(sed -nE 's/^    \{ "([a-z0-9_-]+)",.*/\1/p' src/text/builtin_templates.c)
[ "$count" -gt 25 ] || fail "only $count built-in templates were found in the sources"

limits=(JINJA_DEPTH_LIMIT:1200 JINJA_RANGE_LIMIT:100000 JINJA_NESTING_LIMIT:200 JINJA_VALUE_DEPTH_LIMIT:200)
for limit in "${limits[@]}"; do
    grep -qE "${limit%:*} = ${limit#*:}\b" src/text/jinja/jinja.h || fail "${limit%:*} is no longer ${limit#*:}: $page"
done
grep -q 'JINJA_STEP_LIMIT 10000000LL' src/text/jinja/jinja.h || fail "the limit on steps changed: $page"

finish
