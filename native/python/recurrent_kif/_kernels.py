"""kif.h by ctypes. Arguments are checked in full before a kernel writes anything."""

import ctypes
import functools
import math
import os
import struct
import sys
from pathlib import Path
from typing import NamedTuple

import numpy

from . import _cuda

_ABI = 2
_FLOAT32 = numpy.dtype(numpy.float32)
_FORMULAS = {"first-order": 0, "second-order": 1, "mixed": 2}
MASKS, SOFT = 0, 1  # how a merge weighs
_SCORES = {"sensitivity-times-uncertainty": 0, "sensitivity": 1}
_Pair, _Counts = ctypes.c_float * 2, ctypes.c_int64 * 4


class KifError(RuntimeError):
    """The library refused a call; the message is its own."""


class _AdamWStep(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_float)
        for name in ("decay", "gain1", "decay2", "gain2", "step_size", "correction2", "epsilon")
    ]


class _ImportanceRule(ctypes.Structure):
    _fields_ = [("formula", ctypes.c_int32)] + [
        (name, ctypes.c_float) for name in ("decay1", "gain1", "decay2", "gain2")
    ]


class _MergeRule(ctypes.Structure):
    _fields_ = (
        [("score", ctypes.c_int32), ("weighting", ctypes.c_int32)]
        + [(name, _Pair) for name in ("shared", "new_only", "old_only", "redundant")]
        + [("temperature", ctypes.c_float)]
        + [("reset_inner", ctypes.c_int32), ("reset_outer", ctypes.c_int32)]
    )


def _one_of(what, name, values):
    if name not in values:
        raise ValueError(f"{what}: expected one of {', '.join(values)}, found {name!r}")
    return values[name]


def AdamWStep(step, learning_rate, betas=(0.9, 0.999), epsilon=1e-8, weight_decay=0.0):
    """The scalars of update number ``step`` = 1, 2, ... of AdamW, formed in double."""
    beta1, beta2 = betas
    if step < 1 or not (0 <= beta1 < 1 and 0 <= beta2 < 1) or not epsilon > 0:
        raise ValueError("AdamWStep: expected step >= 1, betas in [0, 1) and epsilon > 0")
    return _AdamWStep(
        1 - learning_rate * weight_decay,
        1 - beta1,
        beta2,
        1 - beta2,
        learning_rate / (1 - beta1**step),
        math.sqrt(1 - beta2**step),
        epsilon,
    )


def ImportanceRule(formula="first-order", betas=(0.85, 0.85)):
    """How an importance follows w*g: "first-order", "second-order" or "mixed"."""
    code = _one_of("formula", formula, _FORMULAS)
    beta1, beta2 = betas
    if not (0 <= beta1 <= 1 and 0 <= beta2 <= 1):
        raise ValueError(f"betas: expected two numbers in [0, 1], found {betas}")
    return _ImportanceRule(code, beta1, 1 - beta1, beta2, 1 - beta2)


def MergeRule(
    score="sensitivity-times-uncertainty",
    shared=(0.4, 0.6),
    new_only=(1, 0),
    old_only=(0, 1),
    redundant=(0.5, 0.5),
    reset_inner=True,
    reset_outer=False,
    soft_temperature=None,
):
    """The factors (of snapshot - base, of w - snapshot) for each class; as released by default.

    With soft_temperature = T there are no classes: with x where a score lies in the range of its side,
    from 0 for the least to 1 for the greatest, the factors are softmax(x of inner / T, x of outer / T).
    """
    if soft_temperature is not None:
        if not 0 < ctypes.c_float(soft_temperature).value < math.inf:
            raise ValueError(
                f"soft_temperature: expected a finite number above 0, found {soft_temperature}"
            )
        if (*shared, *new_only, *old_only, *redundant) != (0.4, 0.6, 1, 0, 0, 1, 0.5, 0.5):
            raise ValueError("soft_temperature: there are no classes, leave out their factors")
    return _MergeRule(
        _one_of("score", score, _SCORES),
        MASKS if soft_temperature is None else SOFT,
        _Pair(*shared),
        _Pair(*new_only),
        _Pair(*old_only),
        _Pair(*redundant),
        soft_temperature or 0,
        bool(reset_inner),
        bool(reset_outer),
    )


class MaskCounts(NamedTuple):
    shared: int
    new_only: int
    old_only: int
    redundant: int


_P, _I32, _F32, _F64 = ctypes.c_void_p, ctypes.c_int32, ctypes.c_float, ctypes.c_double
# Lengths, too, where a pointer has as many bits: ctypes converts one in a third of the time.
_I64 = _P if ctypes.sizeof(_P) == 8 else ctypes.c_int64
# What is pointed to is given as such: ctypes takes its address in a quarter of the time of byref().
_STEP, _IMPORTANCE, _MERGE = map(ctypes.POINTER, (_AdamWStep, _ImportanceRule, _MergeRule))
_FLOAT, _DOUBLE, _PAIR, _COUNTS = map(ctypes.POINTER, (_F32, _F64, _Pair, _Counts))
_SIGNATURES = {
    "kif_abi_version": [],
    "kif_context_create": [_I32, _I32, ctypes.POINTER(_P)],
    "kif_context_isa": [_P],
    "kif_context_threads": [_P],
    "kif_zero": [_P, _P, _I64],
    "kif_copy": [_P, _P, _P, _I64],
    "kif_accumulate": [_P, _P, _P, _F32, _I64],
    "kif_accumulate_product": [_P, _P, _P, _P, _F32, _I64],
    "kif_squared_norm": [_P, _P, _I64, _DOUBLE],
    "kif_adamw": [_P] * 5 + [_F32, _STEP, _I64],
    "kif_importance": [_P] * 5 + [_F32, _IMPORTANCE, _I64],
    "kif_adamw_importance": [_P] * 7 + [_F32, _STEP, _IMPORTANCE, _I64],
    "kif_threshold": [_P, _P, _P, _I32, _F64, _P, _I64, _I64, _I64, _FLOAT],
    "kif_range": [_P, _P, _P, _I32, _P, _I64, _I64, _I64, _PAIR],
    "kif_merge": [_P] * 11 + [_I64, _MERGE, _I64],
    "kif_mask_counts": [_P] * 7 + [_I32, _P, _I64, _I64, _I64, _COUNTS],
}


def _load():
    name = "libkif.dylib" if sys.platform == "darwin" else "libkif.so"
    library = ctypes.CDLL(str(Path(__file__).resolve().parent / name))
    for function, arguments in _SIGNATURES.items():
        getattr(library, function).argtypes = arguments
        getattr(library, function).restype = ctypes.c_int32
    for function in ("kif_status_text", "kif_isa_name"):
        getattr(library, function).argtypes = [ctypes.c_int32]
        getattr(library, function).restype = ctypes.c_char_p
    library.kif_context_destroy.argtypes = [_P]
    library.kif_context_destroy.restype = None
    if library.kif_abi_version() != _ABI:
        raise ImportError(f"libkif has ABI {library.kif_abi_version()}, this package needs {_ABI}")
    return library


_library = _load()


def _check(status):
    if status:
        raise KifError(_library.kif_status_text(status).decode())


# Looked up once: a call takes microseconds.
_accumulate = _library.kif_accumulate
_accumulate_product = _library.kif_accumulate_product
_squared_norm = _library.kif_squared_norm
_adamw = _library.kif_adamw
_importance = _library.kif_importance
_adamw_importance = _library.kif_adamw_importance
_threshold = _library.kif_threshold
_range = _library.kif_range
_merge = _library.kif_merge
_mask_counts = _library.kif_mask_counts
_pack = struct.Struct("2f").pack
_ndarray, _isfinite = numpy.ndarray, math.isfinite


def _words_behind_heads():
    """Memory seen as words, so that [id(x) >> 3] is the word right behind the head of an object.

    There an ndarray has the address of its elements, and C programs read it there (PyArray_DATA).
    Asking the array takes ten times as long, more than all else in a call.
    """
    if sys.implementation.name != "cpython" or sys.maxsize < 2**62:
        return None
    words = (ctypes.c_uint64 * (sys.maxsize >> 3)).from_address(object.__basicsize__)
    probe = numpy.arange(4, dtype=numpy.float32)[1:]
    return words if words[id(probe) >> 3] == probe.__array_interface__["data"][0] else None


_behind = _words_behind_heads()
_Plain = () if _behind is None else _ndarray

# Bits of ndarray.flags.num: contiguous in C's order and aligned, then writeable, too.
_READABLE, _USUAL = 0x101, 0x501

_forks = 0


def _after_fork():
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _Gpu(NamedTuple):
    """Where arrays on a GPU lie, and the stream on which work on them is queued."""

    ordinal: int
    stream: int


def _place(name, array, written):
    """The address and the number of elements of an array that a kernel may work on, and its GPU.

    Every kind of array is taken here, and what is wrong with one is said.
    """
    if isinstance(array, _ndarray):
        if array.dtype != _FLOAT32:
            raise TypeError(f"{name}: expected float32, found {array.dtype}")
        if not array.flags.c_contiguous:
            raise ValueError(f"{name}: expected a contiguous array")
        address, read_only = array.__array_interface__["data"]
        if written and read_only:
            raise ValueError(f"{name}: the array is read-only")
        return address, array.size, None
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(array, torch.Tensor):
        if hasattr(array, "__cuda_array_interface__"):
            return _place_of_interface(name, array.__cuda_array_interface__, written)
        raise TypeError(f"{name}: expected a NumPy array or a tensor, found {type(array).__name__}")
    if not _tensor_types:
        _remember(torch)
    if array.layout is not torch.strided:
        raise TypeError(f"{name}: expected a dense tensor, found {array.layout}")
    if array.dtype is not torch.float32:
        raise TypeError(f"{name}: expected float32, found {array.dtype}")
    if not array.is_contiguous():
        raise ValueError(f"{name}: expected a contiguous tensor")
    gpu = None
    if not array.is_cpu:
        device = array.device
        if device.type != "cuda" or torch.version.cuda is None:
            raise NotImplementedError(
                f"{name}: tensors on {device.type} are not supported: CPU and CUDA are"
            )
        gpu = _Gpu(device.index, torch.cuda.current_stream(device).cuda_stream)
    return array.data_ptr(), array.numel(), gpu


# What tensors are compared with and asked, known once there is one: looking it up takes longer.
_tensor_types, _torch_float32, _data_ptr, _increment_version = (), None, None, None


def _remember(torch):
    global _tensor_types, _torch_float32, _data_ptr, _increment_version
    _torch_float32, _data_ptr = torch.float32, torch.Tensor.data_ptr
    try:
        # What the public function calls, in half the time.
        _increment_version = torch._C._increment_version
        _increment_version(())
    except (AttributeError, TypeError, RuntimeError):  # PyTorch before 2.5 takes one tensor
        one = torch.autograd.graph.increment_version
        _increment_version = lambda tensors: [one(t) for t in tensors if not t.is_inference()]
    _tensor_types = (torch.Tensor, torch.nn.Parameter)


def _place_of_interface(name, interface, written):
    """The same for what other libraries have on a GPU (CuPy, Numba), which lies on device 0."""
    if interface["typestr"] != "<f4":
        raise TypeError(f"{name}: expected float32 ('<f4'), found {interface['typestr']!r}")
    shape, strides = interface["shape"], interface.get("strides")
    size = math.prod(shape)
    if strides is not None:
        expected = 4
        for length, stride in zip(reversed(shape), reversed(strides)):
            if length > 1 and stride != expected:
                raise ValueError(f"{name}: expected a contiguous array")
            expected *= length
    address, read_only = interface["data"]
    if written and read_only:
        raise ValueError(f"{name}: the array is read-only")
    return address, size, _Gpu(0, interface.get("stream") or 1)


def _places(names, arrays, written):
    """The addresses of arrays of one length, that length, their GPU, and tensors that are written to.

    Where all are plain arrays, or all tensors on the processor, a few cheap questions tell that
    nothing is wrong. Else _places_of_all_kinds takes them, or says what is wrong with one.
    """
    places, gpu, tensors, kind = [], None, (), type(arrays[0])
    try:
        if kind is _Plain:
            size = arrays[0].nbytes
            for array in arrays:
                if (
                    type(array) is not _Plain
                    or array.dtype is not _FLOAT32
                    or (array.flags.num & _USUAL != _USUAL and not _is_only_read(array, written))
                    or array.nbytes != size
                ):
                    break
                places.append(_behind[id(array) >> 3])
        elif kind in _tensor_types:
            size = arrays[0].nbytes
            for array in arrays:
                if (
                    not array.is_cpu
                    or array.dtype is not _torch_float32
                    or array.nbytes != size
                    or not array.is_contiguous()
                ):
                    break
                places.append(_data_ptr(array))
            tensors = written
    except (AttributeError, TypeError, RuntimeError):
        pass  # what is no tensor, or not dense, has no such answer
    if len(places) < len(arrays):
        places, size, gpu, tensors = _places_of_all_kinds(names, arrays, written)
    if not _are_apart(size, tuple(places)):
        raise ValueError(f"{_overlapping(names, places, size)} overlap")
    return places, size >> 2, gpu, tensors


@functools.lru_cache(1024)
def _are_apart(size, addresses):
    """Whether arrays of so many bytes do not overlap. A program mostly asks for the same ones again."""
    free = 0
    for address in sorted(addresses):
        if address < free:
            return False
        free = address + size
    return True


def _is_only_read(array, written):
    """Whether an array that may not be written to is usual else, and need not be."""
    return array.flags.num & _READABLE == _READABLE and all(array is not w for w in written)


def _places_of_all_kinds(names, arrays, written):
    """What _places looks up, with the size in bytes."""
    places, n, gpu, changed = [], None, None, {id(w) for w in written}
    for name, array in zip(names, arrays):
        address, size, where = _place(name, array, id(array) in changed)
        if n is None:
            n, gpu, first = size, where, name
        if size != n:
            raise ValueError(f"{name}: expected {n} elements as {first} has, found {size}")
        if where != gpu:
            raise ValueError(f"{name}: expected an array where {first} is, on the same stream")
        if address & (3 if where is None else 15):
            aligned = 4 if where is None else 16
            raise ValueError(f"{name}: expected an array aligned to {aligned} bytes")
        if n and not address:
            raise ValueError(f"{name}: the elements of the tensor are not in memory")
        places.append(address)
    torch = sys.modules.get("torch")
    tensors = [w for w in written if torch and isinstance(w, torch.Tensor)]
    return places, 4 * n, gpu, tensors


def _overlapping(names, places, size):
    used = sorted(zip(places, names))
    for (left, left_name), (right, right_name) in zip(used, used[1:]):
        if right < left + size:
            return f"{left_name} and {right_name}"


def _refuse(status, names, arrays, written):
    """Says why the library refused a call on these arrays."""
    _places_of_all_kinds(names, arrays, written)
    _check(status)


def _no_rule(name, kind):
    return TypeError(f"{name}: expected what {kind.__name__[1:]}(...) returns")


def _no_pairs():
    return TypeError("inner and outer: expected pairs (I, U)")


def _require_unused(U, reset, rule, name):
    if U is None and (reset or rule.score == 0):
        raise ValueError(f"{name}: U may be None only where it is neither read nor reset")


class Kernels:
    """A pool of threads and the kernels on it. Calls from several threads run one after another.

    Arrays are contiguous float32 of one length, any shape, and may not overlap. A call raises
    TypeError or ValueError before anything is written, or does its whole work. Arrays on a CUDA
    device are worked on there, on the current stream of torch; only what returns a number waits for
    it. A pool does not survive fork().
    """

    def __init__(self, threads=None):
        self._context = None
        self._queues = {}
        if threads is None:
            affinity = getattr(os, "sched_getaffinity", None)
            threads = len(affinity(0)) if affinity else os.cpu_count() or 1
        context = ctypes.c_void_p()
        _check(_library.kif_context_create(threads, 0, ctypes.byref(context)))
        self._context, self._process = context.value, _forks

    def close(self):
        """Ends the threads. No other call may be under way."""
        if self._context is not None and self._process == _forks:
            _library.kif_context_destroy(self._context)
            for queue in self._queues.values():
                queue.close()
        self._context, self._queues = None, {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        self.close()

    def _open(self):
        if self._context is None:
            raise ValueError("these kernels are closed")
        if self._process != _forks:
            raise RuntimeError("these kernels were opened before fork(); open others here")
        return self._context

    def _on(self, gpu):
        """The kernels on a stream, each with memory of its own."""
        queue = self._queues.get(gpu)
        if queue is None:
            queue = self._queues.setdefault(gpu, _cuda.Queue(*gpu))
        return queue

    @property
    def threads(self):
        return _library.kif_context_threads(self._open())

    @property
    def instruction_set(self):
        return _library.kif_isa_name(_library.kif_context_isa(self._open())).decode()

    def accumulate(self, sum, term, scale=1.0):
        """sum = sum + scale*term"""
        context = self._open()
        named = ("sum", "term"), (sum, term), (sum,)
        (s, t), n, gpu, tensors = _places(*named)
        if gpu is not None:
            self._on(gpu).accumulate(s, t, scale, n)
        elif status := _accumulate(context, s, t, scale, n):
            _refuse(status, *named)
        if tensors:
            _increment_version(tensors)

    def accumulate_product(self, sum, a, b, scale=1.0):
        """sum = sum + scale*(a*b); a and b may be the same array."""
        context = self._open()
        named = ("sum", "a", "b"), (sum, a) if b is a else (sum, a, b), (sum,)
        (s, a_, *b_), n, gpu, tensors = _places(*named)
        b_ = b_[0] if b_ else a_
        if gpu is not None:
            self._on(gpu).accumulate_product(s, a_, b_, scale, n)
        elif status := _accumulate_product(context, s, a_, b_, scale, n):
            _refuse(status, *named)
        if tensors:
            _increment_version(tensors)

    def squared_norm(self, v):
        """The sum of squares in double; the same for any number of threads."""
        context = self._open()
        named = ("v",), (v,), ()
        (a,), n, gpu, _ = _places(*named)
        if gpu is not None:
            return self._on(gpu).squared_norm(a, n)
        result = ctypes.c_double()
        if status := _squared_norm(context, a, n, result):
            _refuse(status, *named)
        return result.value

    def adamw(self, w, g, m, v, step, clip=1.0):
        """One step of AdamW on w, m and v, with the gradient g*clip."""
        context = self._open()
        if type(step) is not _AdamWStep:
            raise _no_rule("step", _AdamWStep)
        if not _isfinite(clip):
            raise ValueError(f"clip: expected a finite number, found {clip}")
        named = ("w", "m", "v", "g"), (w, m, v, g), (w, m, v)
        (w_, m_, v_, g_), n, gpu, tensors = _places(*named)
        if gpu is not None:
            self._on(gpu).adamw(w_, g_, m_, v_, clip, step, n)
        elif status := _adamw(context, w_, g_, m_, v_, clip, step, n):
            _refuse(status, *named)
        if tensors:
            _increment_version(tensors)

    def importance(self, w, g, I, U, rule, clip=1.0):
        """Updates sensitivity I and uncertainty U from w and g*clip."""
        context = self._open()
        if type(rule) is not _ImportanceRule:
            raise _no_rule("rule", _ImportanceRule)
        if not _isfinite(clip):
            raise ValueError(f"clip: expected a finite number, found {clip}")
        named = ("I", "U", "w", "g"), (I, U, w, g), (I, U)
        (i, u, w_, g_), n, gpu, tensors = _places(*named)
        if gpu is not None:
            self._on(gpu).importance(w_, g_, i, u, clip, rule, n)
        elif status := _importance(context, w_, g_, i, u, clip, rule, n):
            _refuse(status, *named)
        if tensors:
            _increment_version(tensors)

    def adamw_importance(self, w, g, m, v, I, U, step, rule, clip=1.0):
        """adamw, then importance with the new w, in one pass."""
        context = self._open()
        if type(step) is not _AdamWStep:
            raise _no_rule("step", _AdamWStep)
        if type(rule) is not _ImportanceRule:
            raise _no_rule("rule", _ImportanceRule)
        if not _isfinite(clip):
            raise ValueError(f"clip: expected a finite number, found {clip}")
        named = ("w", "m", "v", "I", "U", "g"), (w, m, v, I, U, g), (w, m, v, I, U)
        (w_, m_, v_, i, u, g_), n, gpu, tensors = _places(*named)
        if gpu is not None:
            self._on(gpu).adamw_importance(w_, g_, m_, v_, i, u, clip, step, rule, n)
        elif status := _adamw_importance(context, w_, g_, m_, v_, i, u, clip, step, rule, n):
            _refuse(status, *named)
        if tensors:
            _increment_version(tensors)

    def threshold(self, I, U=None, quantile=0.8):
        """The exact quantile of I*U, or of I where U is None. ValueError where a score is NaN."""
        context = self._open()
        if not 0 <= quantile <= 1:
            raise ValueError(f"quantile: expected a number in [0, 1], found {quantile}")
        score, i, u, n, gpu, named = _score(I, U)
        if n == 0:
            raise ValueError("I: a quantile needs at least one element")
        if gpu is not None:
            found = self._on(gpu).threshold(i, u, score, quantile, n)
        else:
            result = ctypes.c_float()
            if status := _threshold(context, i, u, score, quantile, None, 0, n, 0, result):
                _refuse(status, *named)
            found = result.value
        if found != found:
            raise ValueError("the importance holds NaN: it has no quantile")
        return found

    def range(self, I, U=None):
        """The least and the greatest of I*U, or of I where U is None, by magnitude.

        ValueError where a score is NaN.
        """
        context = self._open()
        score, i, u, n, gpu, named = _score(I, U)
        if n == 0:
            raise ValueError("I: a range needs at least one element")
        if gpu is not None:
            least, greatest = self._on(gpu).range(i, u, score, n)
        else:
            result = _Pair()
            if status := _range(context, i, u, score, None, 0, n, 0, result):
                _refuse(status, *named)
            least, greatest = result
        if least != least:
            raise ValueError("the importance holds NaN: it has no range")
        return least, greatest

    def merge(self, w, base, snapshot, inner, outer, inner_bounds, outer_bounds, rule):
        """w = base + (a*(snapshot - base) + b*(w - snapshot)); base = w.

        inner and outer are pairs (I, U); U may be None where the rule's score is "sensitivity" and
        does not reset that importance. The bounds are what the scores of each are held against: what
        threshold() returned or, for a rule with a soft_temperature, range(). (a, b) follow from which
        scores lie above their threshold, or from where they lie in their range.
        """
        context = self._open()
        if type(rule) is not _MergeRule:
            raise _no_rule("rule", _MergeRule)
        inner_, outer_ = _bounds(_BOUNDS, inner_bounds, outer_bounds, rule.weighting == SOFT)
        try:
            (iI, iU), (oI, oU) = inner, outer
        except (TypeError, ValueError):
            raise _no_pairs() from None
        written = (w, base, iI, iU) if rule.reset_inner else (w, base)
        if rule.reset_outer:
            written += oI, oU
        names, arrays = _MERGED, (w, base, snapshot, iI, iU, oI, oU)
        if iU is None or oU is None:
            _require_unused(iU, rule.reset_inner, rule, "inner")
            _require_unused(oU, rule.reset_outer, rule, "outer")
            names, arrays = [*names], [*arrays]
            if oU is None:
                del names[6], arrays[6]
            if iU is None:
                del names[4], arrays[4]
            places, n, gpu, tensors = _places(names, arrays, written)
            if iU is None:
                places.insert(4, None)
            if oU is None:
                places.insert(6, None)
        else:
            places, n, gpu, tensors = _places(names, arrays, written)
        w_, base_, snapshot_, ii, iu, oi, ou = places
        if gpu is not None:
            self._on(gpu).merge(w_, base_, snapshot_, ii, iu, oi, ou, inner_, outer_, rule, n)
        elif status := _merge(
            context, w_, base_, snapshot_, ii, iu, oi, ou, inner_, outer_, None, 0, rule, n
        ):
            _refuse(status, names, arrays, written)
        if tensors:
            _increment_version(tensors)

    def mask_counts(self, inner, outer, inner_threshold, outer_threshold):
        """How many elements are important to both, the inner only, the outer only, neither.

        inner and outer are pairs (I, U); with U None in both, I alone is compared.
        """
        context = self._open()
        try:
            (iI, iU), (oI, oU) = inner, outer
        except (TypeError, ValueError):
            raise _no_pairs() from None
        inner_, outer_ = _bounds(_THRESHOLDS, inner_threshold, outer_threshold, False)
        if iU is None and oU is None:
            named, score = (("inner I", "outer I"), (iI, oI), ()), 1
            (ii, oi), n, gpu, _ = _places(*named)
            iu = ou = None
        elif iU is None or oU is None:
            raise ValueError("inner and outer: expected U in both or in neither")
        else:
            named, score = (_MERGED[3:], (iI, iU, oI, oU), ()), 0
            (ii, iu, oi, ou), n, gpu, _ = _places(*named)
        if gpu is not None:
            counts = self._on(gpu).mask_counts(ii, iu, oi, ou, inner_, outer_, score, n)
            return MaskCounts._make(counts)
        counts = _Counts()
        if status := _mask_counts(
            context, ii, iu, oi, ou, inner_, outer_, score, None, 0, n, 0, counts
        ):
            _refuse(status, *named)
        return MaskCounts._make(counts[:])


_BOUNDS, _THRESHOLDS = ("inner_bounds", "outer_bounds"), ("inner_threshold", "outer_threshold")
_MERGED = ("w", "base", "snapshot", "inner I", "inner U", "outer I", "outer U")


def _score(I, U):
    """Which score that is, the addresses it is formed of, their length, GPU and the names."""
    if U is None:
        named = ("I",), (I,), ()
        (i,), n, gpu, _ = _places(*named)
        return 1, i, None, n, gpu, named
    named = ("I", "U"), (I, U), ()
    (i, u), n, gpu, _ = _places(*named)
    return 0, i, u, n, gpu, named


def _bounds(names, inner, outer, soft):
    """What scores are held against, in bytes, which ctypes passes by their address."""
    try:
        if not soft and inner == inner and outer == outer:
            return _pack(inner, inner), _pack(outer, outer)
    except Exception:
        pass  # said below, or infinite as float32
    return [_pair(name, given, soft) for name, given in zip(names, (inner, outer))]


def _pair(name, given, soft):
    try:
        low, high = given if soft else (given, given)
        pair = bytes(_Pair(low, high))
    except (TypeError, ValueError):
        expected = "a pair, as range() returns it" if soft else "a number, as threshold() returns it"
        raise TypeError(f"{name}: expected {expected}, found {given!r}") from None
    if low != low or high != high:
        raise ValueError(f"{name}: expected a number, found NaN")
    return pair
