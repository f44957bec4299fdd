#!/bin/sh
# Packs what a host needs to check and measure the kernels that has neither Java nor a network:
#
#   bench/gpu-check/pack.sh [FILE]        (default: .carry/kif-gpu-check.tar.gz, which git ignores)
#
# There: tar xf kif-gpu-check.tar.gz && kif-gpu-check/run.sh
#
# Needs a JDK with jlink (KIF_JAVA_HOME, JAVA_HOME, or one in the usual folders), Maven, and what
# mvn verify has built; builds it if there is no jar.
set -eu

fail() {
  echo "pack.sh: error: $1" >&2
  exit 2
}

here=$(cd "$(dirname "$0")" && pwd -P)
root=${here%/bench/gpu-check}
file=${1:-$root/.carry/kif-gpu-check.tar.gz}
limit=67108864

jdk=
for candidate in "${KIF_JAVA_HOME:-}" "${JAVA_HOME:-}" /usr/lib/jvm/* /opt/jdk* "${HOME:-}"/.sdkman/candidates/java/*; do
  if [ -x "$candidate/bin/jlink" ] && grep -q '^JAVA_VERSION="25\.' "$candidate/release" 2> /dev/null; then
    jdk=$candidate
    break
  fi
done
[ -n "$jdk" ] || fail "no JDK 25 with jlink found; set KIF_JAVA_HOME to one"

target=$root/java/target
# A build for use alone leaves the tests out.
a_test=$target/test-classes/io/github/recurrentkif/kernels/Operations.class
if [ ! -e "$target/recurrent-kif.jar" ] || [ ! -e "$a_test" ]; then
  (cd "$root" && mvn -B --no-transfer-progress -q -DskipTests -pl java -am package) || fail "the build failed"
fi
[ -e "$a_test" ] || fail "the build made no tests"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pack=$work/kif-gpu-check
mkdir -p "$pack/app/lib" "$pack/tests/classes/io/github/recurrentkif" "$pack/bench/python"

# Loggers and beans of the command line, XML of the test reports, jars as JUnit looks through them, and
# what Jackson asks for.
"$jdk/bin/jlink" --add-modules java.base,java.logging,java.management,java.xml,jdk.management,jdk.unsupported,jdk.zipfs \
  --strip-debug --no-header-files --no-man-pages --compress zip-9 --output "$pack/java"

cp "$target/recurrent-kif.jar" "$pack/app/"
for library in "$target"/lib/*.jar; do
  case ${library##*/} in
    # For models only, and most of the size.
    onnxruntime-* | tokenizers-* | jna-* | api-* | commons-compress-* | commons-io-* | commons-codec-* | gson-*) ;;
    *) cp "$library" "$pack/app/lib/" ;;
  esac
done
cp -r "$target/test-classes/io/github/recurrentkif/kernels" "$pack/tests/classes/io/github/recurrentkif/"
for other in "$target"/test-classes/*; do
  case ${other##*/} in
    io | META-INF | maven-status) ;;
    # Recorded numbers that tests read; those of models are not needed.
    *) [ "$(du -sk "$other" | cut -f1)" -gt 4096 ] || cp -r "$other" "$pack/tests/classes/" ;;
  esac
done
junit=$(sed -n 's/.*<junit.version>\(.*\)<\/junit.version>.*/\1/p' "$root/pom.xml")
(cd "$root" && mvn -B --no-transfer-progress -q -N dependency:copy \
  "-Dartifact=org.junit.platform:junit-platform-console-standalone:$junit" \
  "-DoutputDirectory=$pack/tests" -Dmdep.stripVersion=true)

for library in "$target"/native/*/libkif.*; do
  if [ -e "$library" ]; then
    cp "$library" "$pack/"
  else
    echo "pack.sh: there is no native library; the CPU half will be Java only" >&2
  fi
done
if [ -d "$root/cuda-kernels" ]; then
  cp -r "$root/cuda-kernels" "$pack/"
  rm -rf "$pack/cuda-kernels/target"
else
  echo "pack.sh: there are no CUDA kernels yet; run.sh will say so" >&2
fi
cp "$root/bench/python/kernels_vs_torch.py" "$pack/bench/python/"
cp "$here/run.sh" "$pack/"
cp -r "$here/checks" "$pack/"
(cd "$root" && git describe --always --dirty 2> /dev/null || echo unknown) > "$pack/version"

mkdir -p "$(dirname "$file")"
tar -C "$work" -czf "$file.new" kif-gpu-check
size=$(wc -c < "$file.new")
if [ "$size" -gt "$limit" ]; then
  rm "$file.new"
  fail "the pack has $size bytes, more than $limit"
fi
mv "$file.new" "$file"
echo "$file: $size bytes"
