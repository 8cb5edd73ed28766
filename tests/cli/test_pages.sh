#!/bin/bash
# The pages: every link and anchor leads somewhere, every flag that a page names is one of the program's and every flag of --help
# is on a page, every command shown takes the flags it is shown with, and files of the tree are where pages say they are.
set -uo pipefail
# shellcheck source=tests/cli/common.bash
. "$(dirname "$0")/common.bash"

[ -r README.md ] || { echo "skipped: README.md is not there"; exit 77; }
pages=(*.md docs/*.md)
touch "$out" "$err"

# ---- Links. Outside of fences; an anchor is a heading in lower case with - for blanks and without punctuation.
prose() { awk '/^```/ { code = !code; next } !code' "$1"; }
anchors() { prose "$1" | sed -nE 's/^#+ //p' | tr '[:upper:] ' '[:lower:]-' | tr -cd 'a-z0-9_\n-'; }

links=0
for page in "${pages[@]}"; do
    while read -r link; do
        links=$((links + 1))
        path=${link%%#*} anchor=
        [ "$path" = "$link" ] || anchor=${link#*#}
        file=$page
        [ -z "$path" ] || file=$(dirname "$page")/$path
        [ -e "$file" ] || { fail "$page: $link leads nowhere"; continue; }
        [ -z "$anchor" ] || anchors "$file" | grep -qxF -e "$anchor" || fail "$page: there is no heading for $link"
    done < <(prose "$page" | grep -oE '\]\([^) ]+\)' | sed -E 's/^\]\(//; s/\)$//' | grep -v '^https\?://')
done
[ "$links" -gt 50 ] || fail "only $links links were found"

# ---- Flags. Those of other programs are named here.
foreign='--(markdown|more|preset|test-dir|build|cflags|libs)'
words() { grep -ohE '(^|[^a-zA-Z0-9_-])--[a-z][a-z0-9-]+' "$@" | sed 's/^[^-]//' | sort -u; }

run 0 help
mapfile -t commands < <(sed -nE 's/^  ([a-z]+( [a-z]+)?)  .*/\1/p' "$out")
[ "${#commands[@]}" -gt 20 ] || fail "only ${#commands[@]} commands were found"
for command in "${commands[@]}"; do
    # shellcheck disable=SC2086 # two words are two arguments
    run 0 $command --help
    sed '/^Examples/,$d' "$out" >"$work/help ${command}"
done
{ words "$work"/help\ *; echo --help; } | sort -u >"$work/known"
words "${pages[@]}" | grep -vxE -e "$foreign" >"$work/named"
for flag in $(comm -13 "$work/known" "$work/named"); do
    fail "no command takes $flag: $(grep -lE -e "$flag\b" "${pages[@]}" | tr '\n' ' ')"
done
sed -nE 's/^ {2,6}(-[a-z], )?(--[a-z0-9-]+).*/\2/p' "$work"/help\ * | sort -u >"$work/shown"
for flag in $(comm -23 "$work/shown" "$work/named"); do
    fail "no page names $flag"
done

# ---- Commands in fences, lines that go on joined: each takes its flags.
shown=0
while read -r line; do
    for command in "${commands[@]}"; do
        [[ "$line " == "$command "* ]] || continue
        shown=$((shown + 1))
        for flag in $(words - <<<"$line"); do
            words "$work/help $command" | grep -qxF -e "$flag" || fail "lorac $command does not take $flag: $line"
        done
    done
done < <(cat "${pages[@]}" | awk '/^```/ { code = !code; next } code' | sed -e ':a' -e '/\\$/N; s/\\\n//; ta' |
    sed -nE 's/ +#.*//; s/^(\$ )?(build\/)?lorac +(data +)?/\3/p' | tr -s ' ')
[ "$shown" -gt 50 ] || fail "only $shown commands were found"

# shellcheck disable=SC2016 # a backtick is a backtick
in_ticks() { grep -oE "\`$1\`" "$2" | tr -d '`' | sort -u; }

# ---- Files of the tree, by the folder they begin with or, in ARCHITECTURE.md, by their name.
for page in "${pages[@]}"; do
    for path in $(in_ticks '(src|cli|include|tests|tools|bench|examples|docs|cmake)/[A-Za-z0-9_./-]+' "$page"); do
        [ -e "$path" ] || fail "$page: there is no $path"
    done
done
for file in $(in_ticks '[A-Za-z0-9_/]+\.(c|h|def|py|sh)' ARCHITECTURE.md); do
    [ -n "$(find src cli include tests tools -path "*/$file" -print -quit)" ] || [ -e "$file" ] ||
        fail "ARCHITECTURE.md: there is no $file"
done

finish
