"""Compiles libkif with native/build.sh; it and the PTX go into the wheel, beside the Python files."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
PTX = HERE.parents[1] / "java/src/main/resources/io/github/recurrentkif/kernels/cuda/kif.ptx"
LIBRARY = "libkif.dylib" if sys.platform == "darwin" else "libkif.so"


class BuildWithLibrary(build_py):
    def run(self):
        super().run()
        script = HERE.parent / "build.sh"
        for needed in (script, PTX):
            if not needed.is_file():
                sys.exit(f"recurrent-kif builds from a checkout only: {needed} is missing")
        if sys.platform not in ("linux", "darwin"):
            sys.exit(f"recurrent-kif builds on Linux and macOS, not on {platform.system()}")
        package = Path(self.build_lib).resolve() / "recurrent_kif"
        # KIF_NATIVE_WORK keeps what was compiled for the next time.
        work = Path(os.environ.get("KIF_NATIVE_WORK") or package.parent.parent / "native").resolve()
        subprocess.run(["sh", str(script), str(work)], check=True)
        built = sorted(work.glob(f"*/{LIBRARY}"))
        if "kif.operators=optional" in (work / "test.properties").read_text() or not built:
            sys.exit("recurrent-kif needs a C compiler: install gcc or clang, or set CC")
        shutil.copyfile(built[0], package / LIBRARY)
        shutil.copyfile(PTX, package / PTX.name)


class PlatformWheel(bdist_wheel):
    """The library is bound to a platform, not to a version of Python."""

    def finalize_options(self):
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


class BinaryDistribution(Distribution):
    def has_ext_modules(self):
        return True


setup(
    cmdclass={"build_py": BuildWithLibrary, "bdist_wheel": PlatformWheel},
    distclass=BinaryDistribution,
)
