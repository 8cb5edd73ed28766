#!/bin/bash
# Installs into a scratch prefix and uses the installation as a stranger would: with pkg-config, shared and static, and with
# CMake's find_package. The program only asks for the version, and reports an error.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cmake --install "$BUILD" --prefix "$scratch/prefix" >"$scratch/log" || { cat "$scratch/log"; exit 1; }
"$scratch/prefix/bin/lorac" --version
test -s "$scratch/prefix/share/bash-completion/completions/lorac"

cat >"$scratch/use.c" <<'C'
#include <lorac.h>
#include <stdio.h>
int main(void)
{
    lorac_model *model;
    if (lorac_model_open(&model, "/there/is/no/such/model", NULL) == LORAC_OK)
        return 1;
    printf("%s: %s\n", lorac_version(), lorac_last_error()->message);
    return 0;
}
C
libraries=$(dirname "$(find "$scratch/prefix" -name liblorac.a)")
PKG_CONFIG_PATH=$libraries/pkgconfig
export PKG_CONFIG_PATH
# The .pc file names the configured prefix; --define-prefix makes it follow where the file lies.
flags() {
    pkg-config --define-variable=prefix="$scratch/prefix" "$@" lorac
}
cd "$scratch"
# shellcheck disable=SC2046
cc -Wall -Wextra -Werror use.c $(flags --cflags --libs) -o shared
LD_LIBRARY_PATH=$libraries ./shared
# shellcheck disable=SC2046
cc -Wall use.c $(flags --cflags) "$libraries/liblorac.a" $(flags --static --libs-only-l | sed 's/-llorac//') -pthread -o static
./static

mkdir cmake
cat >cmake/CMakeLists.txt <<'CMAKE'
cmake_minimum_required(VERSION 3.22)
project(use LANGUAGES C)
find_package(lorac 0.1 REQUIRED)
foreach(kind shared static)
    add_executable(use-${kind} ../use.c)
    target_link_libraries(use-${kind} PRIVATE lorac::lorac-${kind})
endforeach()
CMAKE
cmake -S cmake -B out -DCMAKE_PREFIX_PATH="$scratch/prefix" >"$scratch/log" || { cat "$scratch/log"; exit 1; }
cmake --build out >"$scratch/log" || { cat "$scratch/log"; exit 1; }
out/use-shared
out/use-static
