"""kif.h by ctypes. Arguments are checked in full before a kernel writes anything."""

import ctypes
import math
import os
import sys
from pathlib import Path
from typing import NamedTuple

import numpy

_ABI = 1
_FLOAT32 = numpy.dtype(numpy.float32)
_FORMULAS = {"first-order": 0, "second-order": 1, "mixed": 2}
_SCORES = {"sensitivity-times-uncertainty": 0, "sensitivity": 1}


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
        [("score", ctypes.c_int32)]
        + [(name, ctypes.c_float * 2) for name in ("shared", "new_only", "old_only", "redundant")]
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
):
    """The factors (of snapshot - base, of w - snapshot) for each class; as released by default."""
    pairs = (ctypes.c_float * 2)
    return _MergeRule(
        _one_of("score", score, _SCORES),
        pairs(*shared),
        pairs(*new_only),
        pairs(*old_only),
        pairs(*redundant),
        bool(reset_inner),
        bool(reset_outer),
    )


class MaskCounts(NamedTuple):
    shared: int
    new_only: int
    old_only: int
    redundant: int


_P, _I32, _I64, _F32, _F64 = (
    ctypes.c_void_p,
    ctypes.c_int32,
    ctypes.c_int64,
    ctypes.c_float,
    ctypes.c_double,
)
_SIGNATURES = {
    "kif_abi_version": [],
    "kif_context_create": [_I32, _I32, ctypes.POINTER(_P)],
    "kif_context_isa": [_P],
    "kif_context_threads": [_P],
    "kif_zero": [_P, _P, _I64],
    "kif_copy": [_P, _P, _P, _I64],
    "kif_accumulate": [_P, _P, _P, _F32, _I64],
    "kif_squared_norm": [_P, _P, _I64, _P],
    "kif_adamw": [_P] * 5 + [_F32, _P, _I64],
    "kif_importance": [_P] * 5 + [_F32, _P, _I64],
    "kif_adamw_importance": [_P] * 7 + [_F32, _P, _P, _I64],
    "kif_threshold": [_P, _P, _P, _I32, _F64, _I64, _I64, _P],
    "kif_merge": [_P] * 11 + [_I64],
    "kif_mask_counts": [_P] * 7 + [_I32, _I64, _I64, _P],
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


def _place(name, array, written):
    """The address and the number of elements of an array that a kernel may work on."""
    if isinstance(array, numpy.ndarray):
        if array.dtype != _FLOAT32:
            raise TypeError(f"{name}: expected float32, found {array.dtype}")
        if not array.flags.c_contiguous:
            raise ValueError(f"{name}: expected a contiguous array")
        if written and not array.flags.writeable:
            raise ValueError(f"{name}: the array is read-only")
        return array.__array_interface__["data"][0], array.size
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(array, torch.Tensor):
        raise TypeError(f"{name}: expected a NumPy array or a tensor, found {type(array).__name__}")
    if array.device.type != "cpu":
        raise NotImplementedError(f"{name}: tensors on {array.device.type} are not supported yet")
    if array.layout is not torch.strided:
        raise TypeError(f"{name}: expected a dense tensor, found {array.layout}")
    if array.dtype is not torch.float32:
        raise TypeError(f"{name}: expected float32, found {array.dtype}")
    if not array.is_contiguous():
        raise ValueError(f"{name}: expected a contiguous tensor")
    return array.data_ptr(), array.numel()


def _places(read, written):
    """Addresses by name, and the length that all arrays share. None stands for an array not used."""
    places, n, first, ranges = [], None, None, []
    for arrays, writes in ((written, True), (read, False)):
        for name, array in arrays:
            if array is None:
                places.append(None)
                continue
            address, size = _place(name, array, writes)
            if n is None:
                n, first = size, name
            elif size != n:
                raise ValueError(f"{name}: expected {n} elements as {first} has, found {size}")
            if address % 4:
                raise ValueError(f"{name}: expected an array aligned to 4 bytes")
            places.append(address)
            ranges.append((address, name))
    if n and len(ranges) > 1:
        ranges.sort()
        left, left_name = ranges[0]
        for right, right_name in ranges[1:]:
            if right < left + 4 * n:
                raise ValueError(f"{left_name} and {right_name} overlap")
            left, left_name = right, right_name
    return places, n


def _wrote(*arrays):
    """Tells autograd, so that a backward pass that needs the old values says so."""
    for array in arrays:
        if not isinstance(array, numpy.ndarray) and not array.is_inference():
            sys.modules["torch"].autograd.graph.increment_version(array)


def _finite(**scalars):
    for name, value in scalars.items():
        if not math.isfinite(value):
            raise ValueError(f"{name}: expected a finite number, found {value}")


def _is(kind, name, value):
    if not isinstance(value, kind):
        raise TypeError(f"{name}: expected what {kind.__name__[1:]}(...) returns")


class Kernels:
    """A pool of threads and the kernels on it. Calls from several threads run one after another.

    Arrays are contiguous float32 of one length, any shape, and may not overlap. A call raises
    TypeError or ValueError before anything is written, or does its whole work. A pool does not
    survive fork().
    """

    def __init__(self, threads=None):
        self._context = None
        if threads is None:
            affinity = getattr(os, "sched_getaffinity", None)
            threads = len(affinity(0)) if affinity else os.cpu_count() or 1
        context = ctypes.c_void_p()
        _check(_library.kif_context_create(threads, 0, ctypes.byref(context)))
        self._context, self._process = context, os.getpid()

    def close(self):
        """Ends the threads. No other call may be under way."""
        if self._context is not None and self._process == os.getpid():
            _library.kif_context_destroy(self._context)
        self._context = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        self.close()

    def _open(self):
        if self._context is None:
            raise ValueError("these kernels are closed")
        if self._process != os.getpid():
            raise RuntimeError("these kernels were opened before fork(); open others here")
        return self._context

    @property
    def threads(self):
        return _library.kif_context_threads(self._open())

    @property
    def instruction_set(self):
        return _library.kif_isa_name(_library.kif_context_isa(self._open())).decode()

    def accumulate(self, sum, term, scale=1.0):
        """sum = sum + scale*term"""
        context = self._open()
        (s, t), n = _places((("term", term),), (("sum", sum),))
        _check(_library.kif_accumulate(context, s, t, scale, n))
        _wrote(sum)

    def squared_norm(self, v):
        """The sum of squares in double; the same for any number of threads."""
        context = self._open()
        (a,), n = _places((("v", v),), ())
        result = ctypes.c_double()
        _check(_library.kif_squared_norm(context, a, n, ctypes.byref(result)))
        return result.value

    def adamw(self, w, g, m, v, step, clip=1.0):
        """One step of AdamW on w, m and v, with the gradient g*clip."""
        context = self._open()
        _is(_AdamWStep, "step", step)
        _finite(clip=clip)
        (w_, m_, v_, g_), n = _places((("g", g),), (("w", w), ("m", m), ("v", v)))
        _check(_library.kif_adamw(context, w_, g_, m_, v_, clip, ctypes.byref(step), n))
        _wrote(w, m, v)

    def importance(self, w, g, I, U, rule, clip=1.0):
        """Updates sensitivity I and uncertainty U from w and g*clip."""
        context = self._open()
        _is(_ImportanceRule, "rule", rule)
        _finite(clip=clip)
        (i, u, w_, g_), n = _places((("w", w), ("g", g)), (("I", I), ("U", U)))
        _check(_library.kif_importance(context, w_, g_, i, u, clip, ctypes.byref(rule), n))
        _wrote(I, U)

    def adamw_importance(self, w, g, m, v, I, U, step, rule, clip=1.0):
        """adamw, then importance with the new w, in one pass."""
        context = self._open()
        _is(_AdamWStep, "step", step)
        _is(_ImportanceRule, "rule", rule)
        _finite(clip=clip)
        (w_, m_, v_, i, u, g_), n = _places(
            (("g", g),), (("w", w), ("m", m), ("v", v), ("I", I), ("U", U))
        )
        status = _library.kif_adamw_importance(
            context, w_, g_, m_, v_, i, u, clip, ctypes.byref(step), ctypes.byref(rule), n
        )
        _check(status)
        _wrote(w, m, v, I, U)

    def threshold(self, I, U=None, quantile=0.8):
        """The exact quantile of I*U, or of I where U is None. ValueError where a score is NaN."""
        context = self._open()
        if not 0 <= quantile <= 1:
            raise ValueError(f"quantile: expected a number in [0, 1], found {quantile}")
        (i, u), n = _places((("I", I), ("U", U)), ())
        if n == 0:
            raise ValueError("I: a quantile needs at least one element")
        result = ctypes.c_float()
        score = 1 if U is None else 0
        _check(_library.kif_threshold(context, i, u, score, quantile, n, 0, ctypes.byref(result)))
        if math.isnan(result.value):
            raise ValueError("the importance holds NaN: it has no quantile")
        return result.value

    def merge(
        self, w, base, snapshot, inner, outer, inner_threshold, outer_threshold, rule
    ):
        """w = base + (a*(snapshot - base) + b*(w - snapshot)); base = w.

        inner and outer are pairs (I, U); U may be None where the rule's score is "sensitivity" and
        does not reset that importance. (a, b) follow from which score lies above its threshold.
        """
        context = self._open()
        _is(_MergeRule, "rule", rule)
        for name, value in (("inner", inner_threshold), ("outer", outer_threshold)):
            if math.isnan(value):
                raise ValueError(f"{name}_threshold: expected a number, found NaN")
        pairs = (("inner", inner, rule.reset_inner), ("outer", outer, rule.reset_outer))
        written, read = [("w", w), ("base", base)], [("snapshot", snapshot)]
        for name, (I, U), reset in pairs:
            if U is None and (rule.score == 0 or reset):
                raise ValueError(f"{name}: U may be None only where it is neither read nor reset")
            (written if reset else read).extend(((name + " I", I), (name + " U", U)))
        places, n = _places(read, written)
        at = dict(zip((name for name, _ in written + read), places))
        status = _library.kif_merge(
            context,
            *(at[name] for name in ("w", "base", "snapshot")),
            *(at[name] for name in ("inner I", "inner U", "outer I", "outer U")),
            ctypes.byref(ctypes.c_float(inner_threshold)),
            ctypes.byref(ctypes.c_float(outer_threshold)),
            ctypes.byref(rule),
            n,
        )
        _check(status)
        _wrote(*(array for _, array in written if array is not None))

    def mask_counts(self, inner, outer, inner_threshold, outer_threshold):
        """How many elements are important to both, the inner only, the outer only, neither.

        inner and outer are pairs (I, U); with U None in both, I alone is compared.
        """
        context = self._open()
        (ii, iu), (oi, ou) = inner, outer
        if (iu is None) != (ou is None):
            raise ValueError("inner and outer: expected U in both or in neither")
        read = (("inner I", ii), ("inner U", iu), ("outer I", oi), ("outer U", ou))
        places, n = _places(read, ())
        counts = (ctypes.c_int64 * 4)()
        status = _library.kif_mask_counts(
            context,
            *places,
            ctypes.byref(ctypes.c_float(inner_threshold)),
            ctypes.byref(ctypes.c_float(outer_threshold)),
            1 if iu is None else 0,
            n,
            0,
            counts,
        )
        _check(status)
        return MaskCounts(*counts)
