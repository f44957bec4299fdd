#!/bin/sh
# Compiles two shared libraries: the kernels, and the operators for ONNX Runtime.
#
#   native/build.sh WORK_DIR [RESOURCE_DIR]
#
# WORK_DIR gets objects, the libraries (PLATFORM/libkif.so and libkif_operators.so, or .dylib) and
# test.properties, which says whether tests must find them. RESOURCE_DIR, what a jar is made of, gets
# the libraries as native/PLATFORM/libkif.so and libkif_operators.so. Compiles only what changed.
# Compiler: $CC, else cc, gcc or clang; without one it says so and succeeds, for the Java kernels and
# ONNX Runtime's own operators do the same work.
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
  Linux) system=linux suffix=so ;;
  Darwin) system=macos suffix=dylib ;;
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
    "the build goes on with the Java kernels and ONNX Runtime's operators, which give the same" \
    "results more slowly."
  if [ -n "$resources" ]; then
    rm -rf "$resources/native"
  fi
  {
    echo "kif.kernels=${KIF_KERNELS:-auto}"
    echo "kif.operators=optional"
  } > "$work/test.properties"
  exit 0
fi

common="-O3 -fPIC -pthread -fvisibility=hidden -fno-fast-math -fno-math-errno -fno-trapping-math
  -Wall -Wextra"
if [ -n "${CI:-}" ]; then
  common="$common -Werror"
fi
# Exactness: no contraction to fused multiply-add, no fast-math. No code here looks at errno or at
# floating-point exceptions, and saying so lets square roots and selections become vector code.
kernel_flags="-std=c11 -ffp-contract=off -I$source/include"
# The operators are exact to rounding only: they fuse. Their vectors never cross a boundary between
# files, so that it does not matter how a tier would pass them.
operator_flags="-std=gnu11 -ffp-contract=fast -Wno-psabi"

avx2_flags="-mavx2"
avx512_flags="-mavx512f -mavx512vl -mavx512dq -mavx512bw -mprefer-vector-width=512"
knows() { # options
  # shellcheck disable=SC2086
  [ "$machine" = x86_64 ] && echo 'int x;' | $compiler $1 -x c -c -o /dev/null - > /dev/null 2>&1
}
tiers=baseline
operator_tiers=baseline
if knows "$avx512_flags"; then
  tiers="baseline avx2 avx512"
  operator_tiers=$tiers
  common="$common -DKIF_X86_TIERS"
  if knows "$avx512_flags -mavx512bf16"; then
    operator_tiers="$operator_tiers avx512bf16"
    operator_flags="$operator_flags -DKIF_BF16_TIER"
  fi
  if [ "$system" = linux ] && knows "$avx512_flags -mavx512bf16 -mamx-tile -mamx-bf16"; then
    operator_tiers="$operator_tiers amx"
    operator_flags="$operator_flags -DKIF_AMX_TIER"
  fi
fi

# What the libraries are made of; a change of any of it, and only that, compiles again.
stamp=$(
  echo "$compiler" "$common" "$kernel_flags" "$operator_flags" "$operator_tiers"
  $compiler --version 2> /dev/null | head -n 1
  cat "$source"/include/*.h "$source"/src/*.[ch] "$source"/operators/*.[ch] "$0" | cksum
)
if [ "$(cat "$work/stamp" 2> /dev/null)" != "$stamp" ] ||
  [ ! -f "$work/$platform/libkif.$suffix" ] || [ ! -f "$work/$platform/libkif_operators.$suffix" ]; then
  rm -f "$work/stamp"
  mkdir -p "$work/objects" "$work/$platform"
  compile() { # object, source, options
    object=$work/objects/$1.o
    file=$source/$2
    shift 2
    # shellcheck disable=SC2086
    $compiler $common "$@" -c "$file" -o "$object"
    objects="$objects $object"
  }
  link() { # name
    if [ "$system" = macos ]; then
      options="-dynamiclib -Wl,-install_name,@rpath/$1.dylib"
    else
      options="-shared -Wl,-soname,$1.so -Wl,-z,defs -Wl,--build-id=none"
    fi
    # shellcheck disable=SC2086
    $compiler -pthread $options $objects -lm -o "$work/$platform/$1.new"
    mv "$work/$platform/$1.new" "$work/$platform/$1.$suffix"
  }

  echo "Compiling the native kernels for $platform ($tiers) with $($compiler --version | head -n 1)"
  objects=
  for tier in $tiers; do
    case $tier in
      avx2) options=$avx2_flags ;;
      avx512) options=$avx512_flags ;;
      *) options= ;;
    esac
    # shellcheck disable=SC2086
    compile "operations_$tier" src/operations.c $kernel_flags "-DKIF_TIER=$tier" $options
    # shellcheck disable=SC2086
    compile "fusion_$tier" src/fusion.c $kernel_flags "-DKIF_TIER=$tier" $options
  done
  # shellcheck disable=SC2086
  compile pool src/pool.c $kernel_flags
  # shellcheck disable=SC2086
  compile kif src/kif.c $kernel_flags
  # shellcheck disable=SC2086
  compile stored src/stored.c $kernel_flags
  link libkif

  echo "Compiling the operators for $platform ($operator_tiers)"
  objects=
  for tier in $operator_tiers; do
    case $tier in
      avx2) options="$avx2_flags -mfma" ;;
      avx512) options="$avx512_flags -mfma" ;;
      avx512bf16) options="$avx512_flags -mfma -mavx512bf16" ;;
      amx) options="$avx512_flags -mfma -mavx512bf16 -mamx-tile -mamx-bf16" ;;
      *) options= ;;
    esac
    for file in attention choice drop gate head_loss heads low_rank norm product rotary tier; do
      # shellcheck disable=SC2086
      compile "${file}_$tier" "operators/$file.c" $operator_flags "-DKIF_TIER=$tier" $options
    done
  done
  # shellcheck disable=SC2086
  compile operators operators/operators.c $operator_flags
  link libkif_operators
  echo "$stamp" > "$work/stamp"
fi

if [ -n "$resources" ]; then
  for library in libkif libkif_operators; do
    built=$work/$platform/$library.$suffix
    target=$resources/native/$platform/$library.$suffix
    if ! cmp -s "$built" "$target"; then
      mkdir -p "$(dirname "$target")"
      cp "$built" "$target.new"
      mv "$target.new" "$target"
    fi
  done
fi
# With a compiler, tests that did without in silence would prove nothing.
{
  echo "kif.kernels=${KIF_KERNELS:-native}"
  echo "kif.operators=required"
} > "$work/test.properties"
