#!/bin/sh
# Training on the GPU: a run's trajectory against the processor's, and updates against PyTorch.
# README.md says how it is called. Needs what pack-provider.sh packed, as KIF_PACK/provider, and a
# Python with PyTorch, whose CUDA libraries are used. Leaves training.json and logs.
set -u

pack=$KIF_PACK
results=$KIF_RESULTS
python=${PYTHON:-python3}

absent() {
  echo "$1"
  exit 77
}
[ -d "$pack/provider" ] || absent "this pack has no provider: see pack-provider.sh"
"$python" -c 'import torch; assert torch.cuda.is_available()' 2> /dev/null || absent "$python has no PyTorch that sees a GPU"

cp -n "$pack"/provider/lib/*.jar "$pack/app/lib/"
# The CUDA libraries of PyTorch's packages, of the toolkit, and the stubs for what is missing. The
# provider asks for cuDNN without a version.
links=$results/cuda-libraries
mkdir -p "$links"
folders=$("$python" - << 'PYTHON'
import glob, os, torch
site = os.path.dirname(os.path.dirname(torch.__file__))
print(":".join(sorted(glob.glob(os.path.join(site, "nvidia", "*", "lib")))))
PYTHON
)
old=$IFS
IFS=:
for folder in $folders /usr/local/cuda/lib64 /usr/lib/x86_64-linux-gnu; do
  if [ -e "$folder/libcudnn.so.9" ]; then
    ln -sf "$folder/libcudnn.so.9" "$links/libcudnn.so"
    break
  fi
done
IFS=$old
LD_LIBRARY_PATH=$links:$folders:/usr/local/cuda/lib64:${LD_LIBRARY_PATH:-}:$pack/provider/stubs
KIF_ORT_LIBRARY=$pack/provider/libonnxruntime.so
KIF_CACHE=$results/cache
export LD_LIBRARY_PATH KIF_ORT_LIBRARY KIF_CACHE

exec "$python" "$pack/checks/training_check.py" --results "$results" --pack "$pack" ${QUICK:+--quick}
