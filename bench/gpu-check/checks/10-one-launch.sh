#!/bin/sh
# Whether the fusion in one launch, whose blocks wait for each other, ends and agrees on this GPU at
# every size from one block to many: what the emulator cannot show.
set -u
if [ "$KIF_GPU" != yes ]; then
  echo "there is no GPU"
  exit 77
fi
"$KIF_PACK/java/bin/java" --enable-native-access=ALL-UNNAMED -jar "$KIF_PACK/app/recurrent-kif.jar" \
  bench kernels --device cuda --op fusion --n 1,1000,100000,2359296,20000003 --repetitions 9 \
  --json "$KIF_RESULTS/one-launch.json" || exit 1
echo "every size agrees: one-launch.json"
