#!/bin/sh
# Builds the wheel, installs it into a folder of its own and runs the tests against it.
#
#   native/python/test.sh PYTHON [ARGUMENTS OF PYTEST]
#
# PYTHON needs pip, setuptools, numpy and pytest; with torch, the tests of tensors run, too, with
# transformers and peft those of the callback. Arrays on a GPU are tested with the CUDA kernels
# compiled for the processor, where there is a C++ compiler. KIF_NATIVE_WORK and KIF_CUDA_EMULATOR
# name folders that keep what was compiled.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
python=${1:?usage: test.sh PYTHON [ARGUMENTS]}
shift
target=$(mktemp -d)
trap 'rm -rf "$target"' EXIT
# A copy, so that the checkout stays as it is.
ptx=java/src/main/resources/io/github/recurrentkif/kernels/cuda
mkdir -p "$target/checkout/native/python" "$target/checkout/$ptx"
cp -R "$here/../build.sh" "$here/../include" "$here/../src" "$here/../operators" \
  "$target/checkout/native"
cp "$here/../../$ptx/kif.ptx" "$target/checkout/$ptx"
cp -R "$here/pyproject.toml" "$here/setup.py" "$here/README.md" "$here/recurrent_kif" \
  "$target/checkout/native/python"
"$python" -m pip install -q --no-deps --no-build-isolation --no-cache-dir \
  --target "$target/installed" "$target/checkout/native/python"
emulator=${KIF_CUDA_EMULATOR:-$target/cuda-emulator}
sh "$here/../../cuda-kernels/emulator/build.sh" "$emulator"
cd "$target"
KIF_EMULATED_DRIVER=$emulator/driver/libcuda.so.1 PYTHONPATH="$target/installed" \
  "$python" -B -m pytest -p no:cacheprovider -q "$here/tests" "$@"
