#!/bin/sh
# Builds the wheel, installs it into a folder of its own and runs the tests against it.
#
#   native/python/test.sh PYTHON [ARGUMENTS OF PYTEST]
#
# PYTHON needs pip, setuptools, numpy and pytest; with torch, the tests of tensors run, too.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
python=${1:?usage: test.sh PYTHON [ARGUMENTS]}
shift
target=$(mktemp -d)
trap 'rm -rf "$target"' EXIT
# A copy, so that the checkout stays as it is.
mkdir "$target/native"
cp -R "$here/../build.sh" "$here/../include" "$here/../src" "$here/../operators" "$target/native"
mkdir "$target/native/python"
cp -R "$here/pyproject.toml" "$here/setup.py" "$here/README.md" "$here/recurrent_kif" \
  "$target/native/python"
"$python" -m pip install -q --no-deps --no-build-isolation --no-cache-dir \
  --target "$target/installed" "$target/native/python"
cd "$target"
PYTHONPATH="$target/installed" "$python" -B -m pytest -p no:cacheprovider -q "$here/tests" "$@"
