#!/bin/sh
# Compiles the kernels into a shared library:
#
#   native/build.sh WORK_DIR [RESOURCE_DIR]
#
# WORK_DIR gets objects, the library (PLATFORM/libkif.so, or .dylib) and test.properties, which says
# whether tests must find the native kernels. RESOURCE_DIR, what a jar is made of, gets the library
# as native/PLATFORM/libkif.so. Compiles only what changed. Compiler: $CC, else cc, gcc or clang;
# without one it says so and succeeds, for the Java kernels do the same work.
set -eu

source=$(cd "$(dirname "$0")" && pwd)
work=${1:?usage: build.sh WORK_DIR [RESOURCE_DIR]}
resources=${2:-}
mkdir -p "$work"

compiler=
for candidate in "${CC:-}" cc gcc clang; do
  # $CC may hold options too.
  # shellcheck disable=SC2086
  if [ -n "$candidate" ] && command -v ${candidate%% *} > /dev/null 2>&1; then
    compiler=$candidate
    break
  fi
done
if [ -n "${CC:-}" ] && [ "$compiler" != "$CC" ]; then
  echo "[WARNING] CC is '$CC', which is not to be found" >&2
fi

case $(uname -s) in
  Linux) system=linux library=libkif.so ;;
  Darwin) system=macos library=libkif.dylib ;;
  *) system=unknown compiler= ;;
esac
case $(uname -m) in
  x86_64 | amd64) machine=x86_64 ;;
  aarch64 | arm64) machine=aarch64 ;;
  *) machine=$(uname -m) ;;
esac
platform=$system-$machine

if [ -z "$compiler" ]; then
  echo "[WARNING] NO NATIVE KERNELS: no C compiler found (CC, cc, gcc, clang) on $(uname -s) $(uname -m);" \
    "the build goes on with the Java kernels, which give the same results more slowly."
  if [ -n "$resources" ]; then
    rm -rf "$resources/native"
  fi
  echo "kif.kernels=${KIF_KERNELS:-auto}" > "$work/test.properties"
  exit 0
fi

# Exactness: no contraction to fused multiply-add, no fast-math. No code here looks at errno or at
# floating-point exceptions, and saying so lets square roots and selections become vector code.
flags="-std=c11 -O3 -fPIC -pthread -fvisibility=hidden -ffp-contract=off -fno-fast-math
  -fno-math-errno -fno-trapping-math -Wall -Wextra -I$source/include"
if [ -n "${CI:-}" ]; then
  flags="$flags -Werror"
fi
if [ "$system" = macos ]; then
  link="-dynamiclib -Wl,-install_name,@rpath/libkif.dylib"
else
  link="-shared -Wl,-soname,libkif.so -Wl,-z,defs -Wl,--build-id=none"
fi

avx2_flags="-mavx2"
avx512_flags="-mavx512f -mavx512vl -mavx512dq -mavx512bw -mprefer-vector-width=512"
tiers=baseline
if [ "$machine" = x86_64 ] && echo 'int x;' |
  $compiler $avx512_flags -x c -c -o /dev/null - > /dev/null 2>&1; then
  tiers="baseline avx2 avx512"
  flags="$flags -DKIF_X86_TIERS"
fi

# What the library is made of; a change of any of it, and only that, compiles again.
stamp=$(
  echo "$compiler" "$flags" "$link" "$tiers"
  $compiler --version 2> /dev/null | head -n 1
  cat "$source"/include/*.h "$source"/src/*.[ch] "$0" | cksum
)
built=$work/$platform/$library
if [ ! -f "$built" ] || [ "$(cat "$work/stamp" 2> /dev/null)" != "$stamp" ]; then
  rm -f "$work/stamp"
  mkdir -p "$work/objects" "$work/$platform"
  echo "Compiling the native kernels for $platform ($tiers) with $($compiler --version | head -n 1)"
  objects=
  compile() { # object, source, options
    object=$work/objects/$1.o
    file=$source/src/$2
    shift 2
    # shellcheck disable=SC2086
    $compiler $flags "$@" -c "$file" -o "$object"
    objects="$objects $object"
  }
  for tier in $tiers; do
    case $tier in
      avx2) options=$avx2_flags ;;
      avx512) options=$avx512_flags ;;
      *) options= ;;
    esac
    # shellcheck disable=SC2086
    compile "operations_$tier" operations.c "-DKIF_TIER=$tier" $options
    # shellcheck disable=SC2086
    compile "fusion_$tier" fusion.c "-DKIF_TIER=$tier" $options
  done
  compile pool pool.c
  compile kif kif.c
  compile stored stored.c
  # shellcheck disable=SC2086
  $compiler -pthread $link $objects -lm -o "$built.new"
  mv "$built.new" "$built"
  echo "$stamp" > "$work/stamp"
fi

if [ -n "$resources" ]; then
  target=$resources/native/$platform/$library
  if ! cmp -s "$built" "$target"; then
    mkdir -p "$(dirname "$target")"
    cp "$built" "$target.new"
    mv "$target.new" "$target"
  fi
fi
# With a compiler, tests that fell back to the Java kernels in silence would prove nothing.
echo "kif.kernels=${KIF_KERNELS:-native}" > "$work/test.properties"
