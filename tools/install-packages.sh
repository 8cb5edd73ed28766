#!/bin/bash
# Installs what tools/packages.txt lists for the given purposes and is not there yet.
#   install-packages.sh build test
# As root, or with sudo where that asks for no password; elsewhere than on Debian it only says what is needed.
set -euo pipefail
cd "$(dirname "$0")"

missing=()
for purpose in "$@"; do
    while read -r what package; do
        [ "$what" = "$purpose" ] || continue
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$state" = installed ] || missing+=("$package")
    done <packages.txt
done
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "note: this is not Debian; lorac needs what these packages hold: ${missing[*]}" >&2
    exit 0
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo -n)
    if ! sudo -n true 2>/dev/null; then
        echo "These packages are missing: ${missing[*]}" >&2
        echo "Install them as root, then go on: apt-get install ${missing[*]}" >&2
        exit 1
    fi
fi
echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" </dev/null
}
install() {
    apt install --no-install-recommends -y "${missing[@]}" >/dev/null
}
# A fresh system has no package lists; one with lists may have old ones.
install 2>/dev/null || { apt update && install; }
