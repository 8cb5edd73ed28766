# Sourced by the scripts here: runs the program and compares.
lorac=${LORAC:-build/lorac}
[ -x "$lorac" ] || { echo "$lorac is not there: build it, or set LORAC"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
out=$work/out err=$work/err

fail() {
    failures=$((failures + 1))
    printf 'FAILED line %s: %s\n' "${BASH_LINENO[-2]}" "$*"
    sed 's/^/    out: /' "$out" | head -n 5
    sed 's/^/    err: /' "$err" | head -n 5
}

# run CODE ARGUMENT...: the program ends with this code; what it says is in $out and $err.
run() {
    local code=$1 got=0
    shift
    "$lorac" "$@" >"$out" 2>"$err" </dev/null || got=$?
    [ "$got" = "$code" ] || fail "exit code $got, not $code: lorac $*"
}

out_has() { grep -qE -- "$1" "$out" || fail "stdout lacks $1"; }
err_has() { grep -qE -- "$1" "$err" || fail "stderr lacks $1"; }
out_is() { [ "$(cat "$out")" = "$1" ] || fail "stdout is not $1"; }
out_empty() { [ ! -s "$out" ] || fail "stdout is not empty"; }
lines() { [ "$(wc -l <"$1")" = "$2" ] || fail "$1 has not $2 lines"; }
exists() { [ -e "$1" ] || fail "$1 is not there"; }
missing() { [ ! -e "$1" ] || fail "$1 is there"; }
same() { cmp -s "$1" "$2" || fail "$1 and $2 differ"; }
differ() { ! cmp -s "$1" "$2" || fail "$1 and $2 are equal"; }
# One line on stdout that is an object with these keys.
json_keys() {
    local key
    lines "$out" 1
    out_has '^\{.*\}$'
    for key in "$@"; do
        out_has "\"$key\":"
    done
}

# interrupt LINE ARGUMENT...: Ctrl-C once stdout has shown a line that holds LINE. Nobody reads on until the signal is
# sent, so a program with more to say than a pipe holds (64 KiB) cannot end before it, however late it comes.
interrupt() {
    local line=$1 said pid got=0
    shift
    rm -f "$work/pipe"
    mkfifo "$work/pipe"
    "$lorac" "$@" >"$work/pipe" 2>"$err" </dev/null &
    pid=$!
    {
        while IFS= read -r said && [[ $said != *"$line"* ]]; do :; done
        kill -INT "$pid"
        cat >"$out"
    } <"$work/pipe"
    wait "$pid" || got=$?
    [ "$got" = 130 ] || fail "exit code $got after SIGINT: lorac $*"
}

finish() {
    [ "$failures" = 0 ] || { printf '%s failures\n' "$failures"; exit 1; }
    echo "all as expected"
}
