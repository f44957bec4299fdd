#!/bin/sh
# Trains through ONNX Runtime's real CUDA provider on a machine without a GPU:
#
#   bench/gpu-check/dry-run.sh PROVIDER [WORK] [MODEL ...]
#
# PROVIDER is a folder with libonnxruntime.so* and libonnxruntime_providers_cuda.so for CUDA 13. The
# driver is the emulator, the CUDA runtime a fake whose kernels do nothing (fake-cuda/), so that the
# numbers mean nothing; but which operators the provider takes, what it copies, where it waits and
# whether it can record an update are its own doing. Fails if an update waits for the GPU or copies
# to or from the host on its way, or if bf16 multiplies nothing in it, or with other sums than
# float32's. Models: models/tiny-t5, and those named. WORK/parts.txt then lists the parts of the
# library whose kernels were launched.
#
# CUDA_INCLUDE names the folder of cuda_runtime_api.h (default: beside nvcc).
set -eu

fail() {
  echo "dry-run.sh: error: $1" >&2
  exit 2
}

here=$(cd "$(dirname "$0")" && pwd -P)
root=${here%/bench/gpu-check}
provider=$(cd "${1:?usage: dry-run.sh PROVIDER [WORK] [MODEL ...]}" && pwd -P)
shift
work=${1:-$(mktemp -d)}
[ $# = 0 ] || shift
mkdir -p "$work"
work=$(cd "$work" && pwd -P)

include=${CUDA_INCLUDE:-}
if [ -z "$include" ]; then
  nvcc=${NVCC:-$(command -v nvcc || true)}
  include=${nvcc:+$(dirname "$nvcc")/../include}
fi
[ -e "$include/cuda_runtime_api.h" ] || fail "no cuda_runtime_api.h; CUDA_INCLUDE names its folder"
for library in "$provider"/libonnxruntime.so*; do :; done
[ -e "$library" ] || fail "$provider has no libonnxruntime.so"
emulator=$root/java/target/cuda-emulator/driver
[ -e "$emulator/libcuda.so.1" ] || fail "no emulator; build first: mvn -DskipTests package"

python3 "$here/fake-cuda/make.py" "$provider/libonnxruntime_providers_cuda.so" "$include" "$work/fake"
kif=${KIF:-$root/kif}
rm -rf "$work/data" "$work/runs" "$work/parts.txt"
"$kif" generate-tasks --output "$work/data" --train-samples 24 --dev-samples 4 --test-samples 4 > /dev/null
tasks=$(cd "$work/data/train" && ls | sed 's/\.json$//' | head -n 2 | paste -sd, -)

# train NAME MODEL GRAPH PRECISION
train() {
  run=$1-$3-$4
  calls=$work/calls-$run.txt
  rm -f "$calls"
  LD_LIBRARY_PATH="$work/fake:$emulator" KIF_ORT_LIBRARY="$library" KIF_EMULATOR_CALLS="$calls" \
    "$kif" train --plain --device cuda --graph "$3" --model "$2" --data "$work/data" --tasks "$tasks" \
    --output "$work/runs/$run" --set precision="$4" --set epochs=1 --set micro-batch-size=4 --set accumulation=2 --set cycle-length=2 \
    --set outer-steps=1 --set maximum-new-tokens=3 > "$work/log-$run.txt" 2>&1 \
    || { tail -n 5 "$work/log-$run.txt" >&2; fail "$1, $3, $4: the run failed"; }
  sed -n 's/^provider: part //p' "$calls" >> "$work/parts.txt"
  # From the masks of a micro-batch to the copy of its loss: what the provider does for one pass.
  # The first one allocates, and one that is recorded runs before, to know what it needs.
  awk -v name="$1, $3, $4" -v precision="$4" '
    /^launch kif_dropout_mask/ && !inside { inside = 1; kernels = repeats = pending = 0 }
    /^provider: record$/ { recorded++; pending = 0 }
    inside && /^provider: (wait|copy and wait|copy to)/ { pending++; last_bad = $0 }
    inside && /^provider: (kernel|cublas.*[gG]emm|cudnnReduce)/ { kernels++ }
    # CUDA_R_16BF and CUBLAS_COMPUTE_32F.
    /^provider: cublasGemmEx/ { if (/of types 14, 14 to 14, sums in 68$/) narrow++; else other++ }
    inside && /^provider: repeat$/ { repeats++ }
    /^copy 4$/ && inside {
      if (passes++ > 0 && pending > 0) { bad += pending; print name ": " last_bad > "/dev/stderr" }
      last = kernels
      again += repeats
      inside = 0
    }
    END {
      printf "%s: %d passes, the last with %d launches; %d recordings, repeated %d times; %d waits or copies\n",
        name, passes, last, recorded, again, bad
      if (precision == "bf16") printf "  %d products of bfloat16\n", narrow
      exit bad > 0 || passes == 0 || other > 0 || (narrow > 0) != (precision == "bf16")
    }' "$calls" || fail "$1, $3, $4: a pass waits or copies, or multiplies in another type"
}

for model in "$root/models/tiny-t5" "$@"; do
  for graph in padded recorded; do
    for precision in float32 bf16; do
      train "$(basename "$model")" "$model" "$graph" "$precision"
    done
  done
done
sort -u -o "$work/parts.txt" "$work/parts.txt"
echo "$(wc -l < "$work/parts.txt") parts of the provider have kernels in use: $work/parts.txt"
