#!/bin/sh
# Builds and installs the kernels for C programs.
#
#   native/install.sh PREFIX [WORK_DIR]
#
# writes PREFIX/lib/libkif.so (or .dylib), PREFIX/include/kif.h and PREFIX/lib/pkgconfig/kif.pc.
# WORK_DIR keeps what was compiled for the next time. DESTDIR, if set, is put before every path that
# is written and into none that is recorded.
set -eu

source=$(cd "$(dirname "$0")" && pwd)
prefix=${1:?usage: install.sh PREFIX [WORK_DIR]}
case $prefix in
  /*) ;;
  *) prefix=$PWD/$prefix ;;
esac
work=${2:-}
if [ -z "$work" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
fi

sh "$source/build.sh" "$work"
if grep -q 'kif.operators=optional' "$work/test.properties"; then
  echo "install.sh: nothing installed: no C compiler (install gcc or clang, or set CC)" >&2
  exit 1
fi
case $(uname -s) in
  Darwin) system=macos suffix=dylib ;;
  *) system=linux suffix=so ;;
esac
case $(uname -m) in
  x86_64 | amd64) machine=x86_64 ;;
  aarch64 | arm64) machine=aarch64 ;;
  *) machine=$(uname -m) ;;
esac
abi=$(sed -n 's/^#define KIF_ABI_VERSION \([0-9]*\)$/\1/p' "$source/include/kif.h")

root=${DESTDIR:-}$prefix
mkdir -p "$root/lib/pkgconfig" "$root/include"
# By rename: a program that has the old library open keeps it whole.
put() { # target; the content comes on standard input
  cat > "$1.new"
  chmod 644 "$1.new"
  mv "$1.new" "$1"
}
put "$root/lib/libkif.$suffix" < "$work/$system-$machine/libkif.$suffix"
put "$root/include/kif.h" < "$source/include/kif.h"
put "$root/lib/pkgconfig/kif.pc" << EOF
prefix=$prefix
libdir=\${prefix}/lib
includedir=\${prefix}/include

Name: kif
Description: Kernels of importance-guided knowledge fusion on float32 arrays
Version: $abi
Libs: -L\${libdir} -Wl,-rpath,\${libdir} -lkif
Cflags: -I\${includedir}
EOF
echo "Installed libkif.$suffix, kif.h and kif.pc (ABI $abi) under $root"
