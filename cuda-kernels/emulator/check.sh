#!/bin/sh
# Runs the CUDA kernels on the processor four times: threads in order, in random order, watched by
# AddressSanitizer with UndefinedBehaviorSanitizer, watched by ThreadSanitizer; and shows that each
# planted fault is caught, while the same kernel without it passes:
#
#   cuda-kernels/emulator/check.sh WORK_DIR
#
# Needs g++ on Linux with its sanitizers. Ends with status 0 if all is as it should be.
set -u

source=$(cd "$(dirname "$0")" && pwd)
work=${1:?usage: check.sh WORK_DIR}
mkdir -p "$work"
compiler=${CXX:-g++}
failed=0

common="-std=c++17 -g -ffp-contract=off -Wno-unknown-pragmas -DKIF_EMULATOR -I$source"
kernels="$source/../kif.cu $source/faults.cu"

complain() {
  echo "FAILED: $*"
  failed=1
}

# shellcheck disable=SC2086
compile() { # name, then one command
  "$@" > "$work/compile.log" 2>&1 || {
    cat "$work/compile.log"
    echo "FAILED: this does not compile: $*"
    exit 1
  }
}

# What sanitizers need to see as one program is compiled as one; ThreadSanitizer must not watch the
# emulator itself, which switches fibers under its feet.
# shellcheck disable=SC2086
{
  compile $compiler $common -O2 -x c++ $kernels "$source/emulator.cpp" "$source/check.cpp" \
    -o "$work/plain" &
  first=$!
  compile $compiler $common -O1 -fsanitize=address,undefined -fno-sanitize-recover=all \
    -x c++ $kernels "$source/emulator.cpp" "$source/check.cpp" -o "$work/asan" &
  second=$!
  wait $first || exit 1
  compile $compiler $common -O1 -DEMULATOR_TSAN -c -x c++ "$source/emulator.cpp" \
    -o "$work/emulator_tsan.o"
  compile $compiler $common -O1 -fsanitize=thread -c -x c++ "$source/../kif.cu" -o "$work/kif_tsan.o"
  compile $compiler $common -O1 -fsanitize=thread -c -x c++ "$source/faults.cu" \
    -o "$work/faults_tsan.o"
  compile $compiler $common -O1 -c -x c++ "$source/check.cpp" -o "$work/check_tsan.o"
  compile $compiler -fsanitize=thread "$work/emulator_tsan.o" "$work/kif_tsan.o" \
    "$work/faults_tsan.o" "$work/check_tsan.o" -o "$work/tsan"
  wait $second || exit 1
}

export ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0
export TSAN_OPTIONS=halt_on_error=1:report_signal_unsafe=0
# Address space at random beyond what ThreadSanitizer of older compilers knows.
if command -v setarch > /dev/null 2>&1 && setarch -R true 2> /dev/null; then
  tsan="setarch -R $work/tsan"
else
  tsan=$work/tsan
fi

passes() { # words for people, then one command
  what=$1
  shift
  "$@" > "$work/run.log" 2>&1 || {
    tail -n 30 "$work/run.log"
    complain "$what: expected to pass"
  }
}

caught() { # words for people, a pattern of the message, then one command
  what=$1
  pattern=$2
  shift 2
  if "$@" > "$work/run.log" 2>&1; then
    complain "$what: the planted fault was not caught"
  elif ! grep -qE "$pattern" "$work/run.log"; then
    tail -n 30 "$work/run.log"
    complain "$what: expected a message like '$pattern'"
  else
    echo "caught: $what: $(grep -m 1 -E "$pattern" "$work/run.log")"
  fi
}

for kernel in reverse scan count_blocks count_lanes load_of_four sum_of_warp; do
  passes "$kernel, in order" "$work/plain" fault $kernel
  passes "$kernel, at random" "$work/plain" fault $kernel 7
  passes "$kernel, AddressSanitizer" "$work/asan" fault $kernel
  passes "$kernel, ThreadSanitizer" $tsan fault $kernel
done
passes "count_blocks, blocks at once" env EMULATOR_BLOCKS_RACE=1 $tsan fault count_blocks

caught "missing barrier, in order" "is .*, not" "$work/plain" fault missing_barrier
caught "missing barrier, ThreadSanitizer" "data race" $tsan fault missing_barrier
passes "a race that the order of threads hides" "$work/plain" fault hidden_race
caught "hidden race, at random" "is .*, not" "$work/plain" fault hidden_race 7
caught "hidden race, ThreadSanitizer" "data race" $tsan fault hidden_race
passes "a race across a barrier that nothing wrong follows" "$work/plain" fault race_across_a_barrier
caught "race across a barrier, ThreadSanitizer" "data race" $tsan fault race_across_a_barrier
caught "race between blocks, ThreadSanitizer" "data race" \
  env EMULATOR_BLOCKS_RACE=1 $tsan fault race_between_blocks
caught "one past the end, guard bytes" "overwritten" "$work/plain" fault one_past_the_end
caught "one past the end, AddressSanitizer" "heap-buffer-overflow" "$work/asan" fault one_past_the_end
caught "one past shared memory, AddressSanitizer" "global-buffer-overflow|index .* out of bounds" \
  "$work/asan" fault one_past_shared
caught "divergent barrier" "barrier while|different barriers" "$work/plain" fault divergent_barrier
caught "uninitialised shared memory" "counted" "$work/plain" fault uninitialised_shared
caught "misaligned vector load, UndefinedBehaviorSanitizer" "misaligned address" \
  "$work/asan" fault misaligned_load
caught "shuffle with an absent lane" "mask" "$work/plain" fault shuffle_with_absent

passes "all kernels, in order" "$work/plain" kernels
for seed in 1 2 3; do
  passes "all kernels, at random $seed" "$work/plain" kernels $seed
done
passes "all kernels, AddressSanitizer" "$work/asan" kernels
passes "all kernels, ThreadSanitizer" $tsan kernels

[ $failed = 0 ] && echo "ALL AS IT SHOULD BE"
exit $failed
