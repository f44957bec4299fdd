#!/bin/sh
# Packs what a host with a CUDA 13 GPU, but without Java and network, needs to train beside what
# pack.sh packs: ONNX Runtime with its CUDA provider, slimmed, and what a model needs.
#
#   bench/gpu-check/pack-provider.sh [ARCHITECTURE] [FILE]
#                                     (default: 90, bench/target/kif-gpu-provider.tar.xz)
#
# There: tar xf kif-gpu-provider.tar.xz -C kif-gpu-check, then kif-gpu-check/run.sh as before.
#
# ONNX_RUNTIME_GPU  a folder with libonnxruntime.so* and both provider libraries; without it the
#                   package onnxruntime-gpu is downloaded by pip (PYTHON, default python3)
# MODELS            further model folders for the dry run, such as a LLaMA
#
# What the provider launches is found by a dry run (dry-run.sh, CUDA_INCLUDE); the slimmed library
# then goes through it again.
set -eu

fail() {
  echo "pack-provider.sh: error: $1" >&2
  exit 2
}

here=$(cd "$(dirname "$0")" && pwd -P)
root=${here%/bench/gpu-check}
architecture=${1:-90}
file=${2:-$root/bench/target/kif-gpu-provider.tar.xz}
python=${PYTHON:-python3}
limit=67108864

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

libraries=${ONNX_RUNTIME_GPU:-}
if [ -z "$libraries" ]; then
  "$python" -m pip download --quiet --no-deps --dest "$work/wheel" onnxruntime-gpu || fail "pip does not download onnxruntime-gpu"
  "$python" -m zipfile -e "$work"/wheel/*.whl "$work/wheel/unpacked"
  libraries=$work/wheel/unpacked/onnxruntime/capi
fi
for runtime in "$libraries"/libonnxruntime.so*; do :; done
[ -e "$runtime" ] || fail "$libraries has no libonnxruntime.so"

# shellcheck disable=SC2086
"$here/dry-run.sh" "$libraries" "$work/dry" ${MODELS:-}

provider=$work/pack/provider
mkdir -p "$provider/lib" "$provider/stubs"
cp "$runtime" "$provider/libonnxruntime.so"
cp "$libraries/libonnxruntime_providers_shared.so" "$provider/"
"$python" "$here/slim_provider.py" "$libraries/libonnxruntime_providers_cuda.so" \
  "$provider/libonnxruntime_providers_cuda.so" "$architecture" --parts "$work/dry/parts.txt"
"$here/dry-run.sh" "$provider" "$work/again" > "$work/again.txt" || fail "the slimmed provider does not load"

# The provider names cuRAND and calls none of it; a host may lack it.
echo 'int kif_no_curand;' > "$work/stub.c"
cc -fPIC -shared "$work/stub.c" -Wl,-soname,libcurand.so.10 -o "$provider/stubs/libcurand.so.10"

for library in "$root"/java/target/lib/*.jar; do
  case ${library##*/} in
    tokenizers-* | jna-* | api-* | commons-compress-* | commons-io-* | commons-codec-* | gson-*)
      cp "$library" "$provider/lib/" ;;
  esac
done
cp -r "$root/models/tiny-t5" "$provider/tiny-t5"
"${KIF:-$root/kif}" generate-tasks --output "$provider/data" --train-samples 64 --dev-samples 8 --test-samples 16 > /dev/null

mkdir -p "$(dirname "$file")"
tar -C "$work/pack" -cf - provider | xz -6 -T 2 > "$file.new"
size=$(wc -c < "$file.new")
if [ "$size" -gt "$limit" ]; then
  rm "$file.new"
  fail "the pack has $size bytes, more than $limit"
fi
mv "$file.new" "$file"
echo "$file: $size bytes"
