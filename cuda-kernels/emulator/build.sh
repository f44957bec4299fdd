#!/bin/sh
# Compiles the CUDA kernels for the processor, for tests only:
#
#   cuda-kernels/emulator/build.sh WORK_DIR
#
# WORK_DIR gets libkif_emulator.so; driver/libcuda.so.1, the driver's interface over the same; and
# driver/libonnxruntime.so, an ONNX Runtime that has CUDA in name; and cublas/libcublas.so.13, cuBLAS
# over the same driver. Compiles only what changed. Compiler: $CXX, else g++
# or c++; without one it says so and succeeds, and the tests of the CUDA kernels are skipped.
set -eu

source=$(cd "$(dirname "$0")" && pwd)
work=${1:?usage: build.sh WORK_DIR}
mkdir -p "$work"
built=$work/libkif_emulator.so

compiler=
for candidate in "${CXX:-}" g++ c++; do
  # shellcheck disable=SC2086
  if [ -n "$candidate" ] && command -v ${candidate%% *} > /dev/null 2>&1; then
    compiler=$candidate
    break
  fi
done
case $(uname -s) in
  Linux) ;;
  *) compiler= ;;
esac
if [ -z "$compiler" ]; then
  echo "[WARNING] THE CUDA KERNELS ARE NOT TESTED: no C++ compiler found (CXX, g++, c++), or not Linux"
  rm -f "$built" "$work/driver/libcuda.so.1" "$work/driver/libonnxruntime.so" \
    "$work/cublas/libcublas.so.13"
  exit 0
fi

flags="-std=c++17 -O2 -fPIC -fvisibility=hidden -ffp-contract=off -fno-fast-math -Wall -Wextra
  -Wno-unknown-pragmas -Wno-unused-const-variable -DKIF_EMULATOR"
stamp=$(
  echo "$compiler" "$flags"
  $compiler --version 2> /dev/null | head -n 1
  cat "$source"/*.cpp "$source"/*.h "$source"/../*.cu "$source"/../*.cuh "$0" | cksum
)
if [ ! -f "$built" ] || [ "$(cat "$work/stamp" 2> /dev/null)" != "$stamp" ]; then
  rm -f "$work/stamp"
  echo "Compiling the CUDA kernels for the processor with $($compiler --version | head -n 1)"
  # shellcheck disable=SC2086
  $compiler $flags -x c++ "$source/emulator.cpp" "$source/../kif.cu" -shared \
    -Wl,-soname,libkif_emulator.so -Wl,-z,defs -o "$built.new"
  mkdir -p "$work/driver"
  # shellcheck disable=SC2086
  $compiler $flags -x c++ "$source/emulator.cpp" "$source/../kif.cu" "$source/driver.cpp" -shared \
    -Wl,-soname,libcuda.so.1 -Wl,-z,defs -o "$work/driver/libcuda.so.1"
  # shellcheck disable=SC2086
  $compiler $flags -x c++ "$source/onnxruntime.cpp" -shared -Wl,-z,defs -ldl \
    -o "$work/driver/libonnxruntime.so"
  mkdir -p "$work/cublas"
  # shellcheck disable=SC2086
  $compiler $flags -x c++ "$source/cublas.cpp" -shared -Wl,-z,defs -ldl \
    -o "$work/cublas/libcublas.so.13"
  mv "$built.new" "$built"
  echo "$stamp" > "$work/stamp"
fi
