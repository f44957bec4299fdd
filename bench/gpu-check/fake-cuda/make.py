"""Writes libraries with the names and functions of CUDA that a library of ONNX Runtime's CUDA provider needs.

    python make.py PROVIDER_LIBRARY CUDA_INCLUDE FOLDER

core.c gives the runtime's functions a meaning; all others do nothing, successfully. Needs cc and nm.
"""

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CREATE = re.compile(r"cu(blas|blasLt|dnn)Create|cudnnBackendCreate")
SIZES = ("cudnnGetReductionWorkspaceSize", "cudnnGetReductionIndicesSize")


def run(*command):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout


def body(name):
    if name in SIZES:
        return f"int {name}(void*a,void*b,void*c,void*d,size_t*out){{*out=0;return 0;}}"
    if name == "cudnnGetVersion":
        return f"size_t {name}(void){{return 92000;}}"
    if name.endswith("GetErrorString"):
        return f'const char*{name}(int error){{return "an error of no GPU";}}'
    if name == "cublasGemmEx":
        return (
            f"int {name}(void*handle,int transa,int transb,int m,int n,int k,void*alpha,void*a,int atype,int lda,void*b,int btype,"
            'int ldb,void*beta,void*c,int ctype,int ldc,int sums,int how)'
            f'{{fake_log("{name} of types %d, %d to %d, sums in %d",atype,btype,ctype,sums);return 0;}}'
        )
    if CREATE.match(name):
        return f'int {name}(void**out){{fake_log("{name}");*out=malloc(64);return 0;}}'
    return f'int {name}(){{fake_log("{name}");return 0;}}'


def main():
    library, include, folder = map(Path, sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    needed = {line.split()[-1].split("@")[0] for line in run("nm", "-D", "--undefined-only", library).splitlines()}
    needed = {name for name in needed if re.match(r"(__)?cuda[A-Z]|cublas|cu[A-Z]", name)}
    # cuDNN is loaded when it is first needed, by its names.
    text = library.read_bytes()
    dnn = {name.decode() for name in re.findall(rb"(?<=\0)cudnn[A-Z]\w+(?=\0)", text)}
    meant = set(re.findall(r"^\w[\w *]*?\**(\w+)\(", (HERE / "core.c").read_text(), re.MULTILINE))
    libraries = {
        "libcudart.so.13": {name for name in needed if not name.startswith("cublas")} - meant,
        "libcublas.so.13": {name for name in needed if re.match(r"cublas(?!Lt)", name)},
        "libcublasLt.so.13": {name for name in needed if name.startswith("cublasLt")},
        "libcurand.so.10": set(),
        "libcudnn.so.9": dnn,
    }
    for name, functions in libraries.items():
        source = folder / f"{name}.c"
        head = "#include <stdlib.h>\nvoid fake_log(const char *, ...);\n"
        source.write_text(head + "\n".join(map(body, sorted(functions))) + "\n", encoding="utf-8")
        runtime = [HERE / "core.c", f"-I{include}", "-ldl"] if "cudart" in name else [f"-L{folder}", "-l:libcudart.so.13"]
        run("cc", "-w", "-O1", "-fPIC", "-shared", source, *runtime, f"-Wl,-soname,{name}", "-o", folder / name)
    link = folder / "libcudnn.so"
    link.unlink(missing_ok=True)
    link.symlink_to("libcudnn.so.9")


if __name__ == "__main__":
    main()
