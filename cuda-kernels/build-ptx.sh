#!/bin/sh
# Compiles the kernels to the PTX that the jar carries:
#
#   cuda-kernels/build-ptx.sh [FILE]
#
# FILE is kif.ptx among the resources of the java module unless named. Needs nvcc 13.0.88 ($NVCC,
# else nvcc of the PATH), which PyPI has as packages; docs/cuda.md says which. Then, where ptxas is
# beside nvcc, assembles the PTX for every processor it must run on. The host compiler is not asked.
set -eu

source=$(cd "$(dirname "$0")" && pwd)
target=${1:-$source/../java/src/main/resources/io/github/recurrentkif/kernels/cuda/kif.ptx}
nvcc=${NVCC:-nvcc}
command -v "$nvcc" > /dev/null 2>&1 || {
  echo "no nvcc: set NVCC to it (docs/cuda.md says how to get it)" >&2
  exit 1
}
nvcc=$(command -v "$nvcc")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Exactness: no contraction to fused multiply-add, nothing flushed to zero, square root and division
# correctly rounded.
(cd "$source" && "$nvcc" --ptx -O3 -std=c++17 -arch=compute_75 --fmad=false --ftz=false \
  --prec-div=true --prec-sqrt=true -o "$work/kif.ptx" kif.cu)

# nvcc names its newest PTX version, which older drivers refuse; nothing here needs more than 6.3,
# the first for compute_75. Lines that start with // name the build and not the kernels.
sed -e 's/^\.version .*/.version 6.3/' -e '/^\/\//d' -e 's/[[:space:]]*$//' "$work/kif.ptx" |
  cat -s > "$work/lowered.ptx"

if grep -nE '\.(ftz|approx)|[^a-z]fma\.' "$work/lowered.ptx" >&2; then
  echo "these instructions would change results" >&2
  exit 1
fi

ptxas=$(dirname "$nvcc")/ptxas
if [ -x "$ptxas" ]; then
  for processor in sm_75 sm_80 sm_86 sm_89 sm_90 sm_100 sm_120; do
    # A spill to local memory would cost more than it saves: be told of it.
    "$ptxas" -arch=$processor -v -o "$work/kif.cubin" "$work/lowered.ptx" 2> "$work/messages" || {
      cat "$work/messages" >&2
      exit 1
    }
    if grep -E '[1-9][0-9]* bytes spill' "$work/messages" >&2; then
      echo "$processor: registers are spilled" >&2
      exit 1
    fi
  done
  echo "PTX assembles for sm_75 to sm_120 without spilling a register"
else
  echo "no ptxas beside $nvcc: PTX not assembled" >&2
fi

mkdir -p "$(dirname "$target")"
cp "$work/lowered.ptx" "$target.new"
mv "$target.new" "$target"
