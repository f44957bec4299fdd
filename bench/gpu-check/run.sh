#!/bin/sh
# Checks and measures the kernels on this host, from the folder that pack.sh packed:
#
#   run.sh [RESULTS]                      (default: results, beside this script)
#
# QUICK=1 takes few rounds and small arrays. PYTHON names a Python with PyTorch (default: python3).
# Leaves JSON and logs in RESULTS; exits with 0 if all that can run here ran well, 1 if not.
set -u

here=$(cd "$(dirname "$0")" && pwd -P)
results=${1:-$here/results}
mkdir -p "$results" || exit 2
results=$(cd "$results" && pwd -P)
failed=0
steps=

# note STEP STATUS SENTENCE
note() {
  echo "[$2] $1: $3"
  steps="$steps${steps:+,}
    {\"step\": \"$1\", \"status\": \"$2\", \"detail\": \"$(printf '%s' "$3" | tr -d '\\"\n')\"}"
  [ "$2" != FAILED ] || failed=1
}

java() {
  "$here/java/bin/java" --enable-native-access=ALL-UNNAMED "$@"
}

kif() {
  java -jar "$here/app/recurrent-kif.jar" "$@"
}

export KIF_CACHE="$results/cache"
if [ -n "${QUICK:-}" ]; then
  sizes=65536 rounds=3
else
  sizes=2359296,268435456 rounds=15
fi

echo "kif-gpu-check $(cat "$here/version"), results in $results"

if command -v nvidia-smi > /dev/null 2>&1 && nvidia-smi > "$results/nvidia-smi.txt" 2>&1; then
  gpu=yes
  note driver ok "$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader | head -n 1)"
else
  gpu=no
  note driver absent "nvidia-smi finds no GPU on this host; the CUDA half is left out"
fi

native=auto
for library in "$here"/libkif.*; do
  [ ! -e "$library" ] || native=native
done

# All kernel tests, those on the driver included, but the one that compiles what is not packed. They
# look for the CUDA sources beside the folder they run in.
if (cd "$here/app" && java -Dkif.kernels=$native -cp "$here/tests/junit-platform-console-standalone.jar:$here/tests/classes:$here/app/recurrent-kif.jar" \
  org.junit.platform.console.ConsoleLauncher execute --select-package io.github.recurrentkif.kernels \
  --exclude-classname '.*\.InstallTest' --fail-if-no-tests --details tree --disable-ansi-colors --disable-banner) \
  > "$results/tests.txt" 2>&1; then
  note tests ok "$(grep -E 'tests successful' "$results/tests.txt" | tr -d '[]' | tr -s ' '), $(grep -c 'SKIPPED:' "$results/tests.txt") lines say SKIPPED"
else
  note tests FAILED "see tests.txt: $(grep -E 'tests failed' "$results/tests.txt" | tr -d '[]' | tr -s ' ')"
fi

# measure DEVICE SIZES
measure() {
  kif bench kernels --device "$1" --n "$2" --repetitions "$rounds" --json "$results/kernels-$1.json" \
    > "$results/kernels-$1.txt" 2>&1
  status=$?
  case $status in
    0) note "bench $1" ok "kernels-$1.json" ;;
    1) note "bench $1" FAILED "contestants that are WRONG: see kernels-$1.txt" ;;
    *) note "bench $1" FAILED "$(tail -n 1 "$results/kernels-$1.txt")" ;;
  esac
}

measure cpu "${sizes%,*}"
if [ ! -d "$here/cuda-kernels" ]; then
  status=absent
  [ "$gpu" = no ] || status=FAILED
  note "bench cuda" "$status" "this pack has no CUDA kernels: pack again from a checkout that has cuda-kernels"
elif [ "$gpu" = no ]; then
  note "bench cuda" absent "there is no GPU"
else
  measure cuda "$sizes"
fi

# compare DEVICE SIZES [LIBRARY]
compare() {
  if "$python" "$here/bench/python/kernels_vs_torch.py" --device "$1" --n "$2" --rounds "$rounds" --no-documents \
    --results "$results/torch-$1.json" ${3:+--library "$3"} > "$results/torch-$1.txt" 2>&1; then
    note "torch $1" ok "torch-$1.json"
  else
    note "torch $1" FAILED "$(tail -n 1 "$results/torch-$1.txt")"
  fi
}

python=${PYTHON:-python3}
if ! "$python" -c 'import torch, numpy' > /dev/null 2>&1; then
  note torch absent "$python has no PyTorch; PYTHON can name one that has"
else
  for library in "$here"/libkif.*; do
    [ ! -e "$library" ] || compare cpu "${sizes%,*}" "$library"
  done
  if [ "$gpu" = yes ]; then
    compare cuda "$sizes"
  fi
fi

# Whatever else there is to check, in the order of its names; checks/README.md says how they are called.
KIF_PACK=$here KIF_RESULTS=$results KIF_GPU=$gpu PYTHON=$python
export KIF_PACK KIF_RESULTS KIF_GPU PYTHON
for check in "$here"/checks/[0-9]*.sh; do
  [ -e "$check" ] || continue
  name=$(basename "$check" .sh)
  sh "$check" > "$results/$name.txt" 2>&1
  status=$?
  said=$(tail -n 1 "$results/$name.txt")
  case $status in
    0) note "$name" ok "$said" ;;
    77) note "$name" absent "$said" ;;
    *) note "$name" FAILED "$said" ;;
  esac
done

cat > "$results/summary.json" << SUMMARY
{
  "version": "$(cat "$here/version")",
  "gpu": "$gpu",
  "steps": [$steps
  ]
}
SUMMARY
echo "summary: $results/summary.json"
exit $failed
