#!/bin/sh
# Makes one object of a static library and hides in it what is not exported (ELF visibility "hidden"), so that a
# program linking it statically sees lorac_* and no helper of ours can collide with one of its own.
#   hide-symbols.sh LIBRARY LD OBJCOPY AR
set -eu
library=$1 ld=$2 objcopy=$3 ar=$4
object=$library.o
"$ld" -r -o "$object" --whole-archive "$library"
"$objcopy" --localize-hidden "$object"
rm -f "$library"
"$ar" qcs "$library" "$object"
rm -f "$object"
