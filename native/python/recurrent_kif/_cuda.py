"""The kernels on a GPU: kif.ptx through the CUDA driver, by ctypes. No toolkit is needed."""

import ctypes
import functools
import math
import threading
from pathlib import Path

import numpy

_DRIVER = "libcuda.so.1"
_THREADS = 256
_LEAF, _FOLD = 4096, 1024
_SELECTION_BYTES = 2048 * 8 + 4 * 4 + 8
_EXTENT_BYTES = 8 + 4 * 4
_OLDEST = 75  # compute capability 7.5, as the PTX was made for

_U32, _I32, _I64, _F32, _P = (
    ctypes.c_uint32,
    ctypes.c_int32,
    ctypes.c_int64,
    ctypes.c_float,
    ctypes.c_void_p,
)
# By name of the kernel: what it takes. A structure is given by its address, as the driver takes it.
_STRUCTURE = object()
_ARGUMENTS = {
    "kif_accumulate_2": (_P, _P, _F32, _I64),
    "kif_accumulate_product_2": (_P, _P, _P, _F32, _I64),
    "kif_adamw_2": (_P, _P, _P, _P, _F32, _STRUCTURE, _I64),
    "kif_importance_2": (_P, _P, _P, _P, _F32, _STRUCTURE, _I64),
    "kif_adamw_importance_2": (_P,) * 6 + (_F32, _STRUCTURE, _STRUCTURE, _I64),
    "kif_squared_norm_2": (_P, _I64, _P),
    "kif_fold": (_P, _I64, _P),
    "kif_merge_2": (_P,) * 10 + (_I32, _STRUCTURE, _I64),
    "kif_mask_counts_2": (_P,) * 7 + (_I32, _I32, _I64, _I64, _P),
    "kif_range_2": (_P, _P, _I32, _I64, _I64, _P, _P),
    "kif_threshold_2": (_P, _P, _I32, _I64, _P, _I32, _I64, _I32, _F32, _I64, _P),
}


# One threshold for all elements: no table of tensors, one part.
_TOGETHER = (None, 1)


class CudaUnavailable(NotImplementedError):
    """Why arrays on a GPU cannot be worked on here."""


class CudaError(RuntimeError):
    """The CUDA driver refused a call, or a kernel before it failed."""


@functools.cache
def _driver():
    try:
        driver = ctypes.CDLL(_DRIVER)
        _declare(driver)
    except (OSError, AttributeError) as e:
        raise CudaUnavailable(f"no CUDA driver ({e}): arrays on a GPU need the NVIDIA driver") from e
    _check(driver, driver.cuInit(0), "the CUDA driver does not start")
    return driver


def _declare(driver):
    for name, arguments in {
        "cuInit": [_U32],
        "cuDeviceGet": [_P, _I32],
        "cuDeviceGetAttribute": [_P, _I32, _I32],
        "cuDevicePrimaryCtxRetain": [_P, _I32],
        "cuCtxPushCurrent_v2": [_P],
        "cuCtxPopCurrent_v2": [_P],
        "cuModuleLoadData": [_P, ctypes.c_char_p],
        "cuModuleGetFunction": [_P, _P, ctypes.c_char_p],
        "cuMemAlloc_v2": [_P, ctypes.c_size_t],
        "cuMemFree_v2": [_I64],
        "cuMemcpyHtoDAsync_v2": [_I64, _P, ctypes.c_size_t, _P],
        "cuMemcpyDtoHAsync_v2": [_P, _I64, ctypes.c_size_t, _P],
        "cuMemsetD8Async": [_I64, ctypes.c_ubyte, ctypes.c_size_t, _P],
        "cuStreamSynchronize": [_P],
        "cuLaunchKernel": [_P] + [_U32] * 7 + [_P, _P, _P],
        "cuGetErrorString": [_I32, _P],
    }.items():
        function = getattr(driver, name)
        function.argtypes, function.restype = arguments, _I32


def _check(driver, status, what):
    if status:
        text = ctypes.c_char_p()
        driver.cuGetErrorString(status, ctypes.byref(text))
        said = text.value.decode() if text.value else "unknown"
        raise CudaError(f"{what}: CUDA error {status}, {said}")


class _Kernel:
    """A function of the module, with room for its arguments."""

    def __init__(self, name, function, types):
        self.name, self.function = name, function
        self.values = [None if t is _STRUCTURE else t() for t in types]
        self.addresses = (_P * len(types))(
            *(None if v is None else ctypes.addressof(v) for v in self.values)
        )


class _Gpu:
    """The kernels in the primary context of a device, which is the one that torch uses."""

    def __init__(self, ordinal):
        self.driver = driver = _driver()
        device = ctypes.c_int()
        _check(driver, driver.cuDeviceGet(ctypes.byref(device), ordinal), f"no CUDA device {ordinal}")

        def attribute(number):
            value = ctypes.c_int()
            status = driver.cuDeviceGetAttribute(ctypes.byref(value), number, device)
            _check(driver, status, "the GPU does not describe itself")
            return value.value

        capability = 10 * attribute(75) + attribute(76)
        if capability < _OLDEST:
            raise CudaUnavailable(
                f"CUDA device {ordinal} has compute capability {capability / 10}, the kernels need"
                f" {_OLDEST / 10} at least"
            )
        self.multiprocessors = attribute(16)
        # Kept until the process ends, as torch keeps it.
        self.context = _P()
        status = driver.cuDevicePrimaryCtxRetain(ctypes.byref(self.context), device)
        _check(driver, status, "the GPU takes no more programs")
        image = (Path(__file__).resolve().parent / "kif.ptx").read_bytes()
        module = _P()
        with self:
            status = driver.cuModuleLoadData(ctypes.byref(module), image)  # ctypes ends it with NUL
            _check(driver, status, "the driver refuses the kernels' PTX")
            self.kernels = {}
            for name, types in _ARGUMENTS.items():
                function = _P()
                status = driver.cuModuleGetFunction(ctypes.byref(function), module, name.encode())
                _check(driver, status, f"the module has no {name}")
                self.kernels[name] = _Kernel(name, function, types)
        # Calls from several threads take turns: they share the room for arguments.
        self.lock = threading.Lock()

    def __enter__(self):
        status = self.driver.cuCtxPushCurrent_v2(self.context)
        _check(self.driver, status, "the GPU's context is gone")

    def __exit__(self, *_):
        self.driver.cuCtxPopCurrent_v2(ctypes.byref(_P()))


@functools.cache
def _gpu(ordinal):
    return _Gpu(ordinal)


def require(ordinal):
    """Raises CudaUnavailable or CudaError where the kernels do not run on that device."""
    _gpu(ordinal)


class Queue:
    """The kernels on one stream of one device. Arrays are given by their addresses.

    Work is queued and not waited for, but where a number is returned.
    """

    def __init__(self, ordinal, stream):
        self._gpu, self._stream = _gpu(ordinal), _P(stream)
        self._driver = self._gpu.driver
        self._leaves, self._leaf_count = [], 0
        self._allocated = []
        with self._gpu:
            self._selection = self._allocate(_SELECTION_BYTES)
            self._counts = self._allocate(3 * 8)
            self._extent = self._allocate(_EXTENT_BYTES)
            self._bounds = self._allocate(4 * 4)
            self._result = self._allocate(2 * 4)
            self._clear(self._selection, _SELECTION_BYTES)
            self._clear(self._extent, _EXTENT_BYTES)

    def close(self):
        # At the end of a process the driver may be gone before us; then its memory is, too.
        if self._driver.cuCtxPushCurrent_v2(self._gpu.context) == 0:
            for address in self._allocated:
                self._driver.cuMemFree_v2(address)
            self._driver.cuCtxPopCurrent_v2(ctypes.byref(_P()))
        self._allocated = []

    def accumulate(self, sum, term, scale, n):
        with self._gpu.lock, self._gpu:
            self._launch("kif_accumulate_2", self._elementwise(n), sum, term, scale, n)

    def accumulate_product(self, sum, a, b, scale, n):
        with self._gpu.lock, self._gpu:
            self._launch("kif_accumulate_product_2", self._elementwise(n), sum, a, b, scale, n)

    def adamw(self, w, g, m, v, clip, step, n):
        with self._gpu.lock, self._gpu:
            self._launch("kif_adamw_2", self._elementwise(n), w, g, m, v, clip, step, n)

    def importance(self, w, g, I, U, clip, rule, n):
        with self._gpu.lock, self._gpu:
            self._launch("kif_importance_2", self._elementwise(n), w, g, I, U, clip, rule, n)

    def adamw_importance(self, w, g, m, v, I, U, clip, step, rule, n):
        with self._gpu.lock, self._gpu:
            arrays = (w, g, m, v, I, U)
            blocks = self._elementwise(n)
            self._launch("kif_adamw_importance_2", blocks, *arrays, clip, step, rule, n)

    def squared_norm(self, v, n):
        if n == 0:
            return 0.0
        with self._gpu.lock, self._gpu:
            count = -(-n // _LEAF)
            source, target = self._reserve_leaves(count)
            self._launch("kif_squared_norm_2", self._blocks(-(-count // 4), 8), v, n, source)
            while count > 1:
                folded = -(-count // _FOLD)
                self._launch("kif_fold", folded, source, count, target)
                count, source, target = folded, target, source
            return self._read(ctypes.c_double, source)

    def threshold(self, I, U, score, quantile, n):
        lower, between, fraction = rank(quantile, n)
        blocks = self._blocks(-(-n // (16 * _THREADS)), 4)
        with self._gpu.lock, self._gpu:
            for number in range(3):
                self._launch(
                    "kif_threshold_2",
                    blocks,
                    I,
                    U or I,
                    score,
                    n,
                    self._selection,
                    number,
                    lower,
                    between,
                    fraction,
                    n,
                    self._result,
                )
            return self._read(ctypes.c_float, self._result)

    def range(self, I, U, score, n):
        with self._gpu.lock, self._gpu:
            arguments = (I, U or I, score, n, 0, self._extent, self._result)
            self._launch("kif_range_2", self._elementwise(n), *arguments)
            return tuple(self._read(_F32 * 2, self._result))

    def merge(self, w, base, snapshot, ii, iu, oi, ou, inner_bounds, outer_bounds, rule, n):
        with self._gpu.lock, self._gpu:
            bounds = self._upload(inner_bounds, outer_bounds)
            arrays = (w, base, snapshot, ii, iu or ii, oi, ou or oi)
            self._launch("kif_merge_2", self._elementwise(n), *arrays, *bounds, *_TOGETHER, rule, n)

    def mask_counts(self, ii, iu, oi, ou, inner_bounds, outer_bounds, score, n):
        with self._gpu.lock, self._gpu:
            bounds = self._upload(inner_bounds, outer_bounds)
            self._clear(self._counts, 24)
            arrays = (ii, iu or ii, oi, ou or oi, *bounds)
            blocks = self._blocks(-(-n // _THREADS), 8)
            self._launch("kif_mask_counts_2", blocks, *arrays, *_TOGETHER, score, n, 0, self._counts)
            counts = list(self._read(ctypes.c_int64 * 3, self._counts))
        return counts + [n - sum(counts)]

    def _launch(self, name, blocks, *arguments):
        kernel = self._gpu.kernels[name]
        for i, (value, argument) in enumerate(zip(kernel.values, arguments)):
            if value is None:
                kernel.addresses[i] = ctypes.addressof(argument)
            else:
                value.value = argument
        status = self._driver.cuLaunchKernel(
            kernel.function, blocks, 1, 1, _THREADS, 1, 1, 0, self._stream, kernel.addresses, None
        )
        self._demand(status, name)

    def _elementwise(self, n):
        return self._blocks(-(-n // (4 * _THREADS)), 8)

    def _blocks(self, wanted, each):
        return max(1, min(wanted, self._gpu.multiprocessors * each))

    def _allocate(self, size):
        address = ctypes.c_int64()
        status = self._driver.cuMemAlloc_v2(ctypes.byref(address), size)
        self._demand(status, f"no {size} bytes of GPU memory")
        self._allocated.append(address.value)
        return address.value

    def _reserve_leaves(self, count):
        if count > self._leaf_count:
            for address in self._leaves:
                self._allocated.remove(address)
                self._demand(self._driver.cuMemFree_v2(address), "GPU memory is not freed")
            self._leaves = [self._allocate(8 * count), self._allocate(8 * -(-count // _FOLD))]
            self._leaf_count = count
        return self._leaves

    def _clear(self, address, size):
        status = self._driver.cuMemsetD8Async(address, 0, size, self._stream)
        self._demand(status, "GPU memory is not cleared")

    def _upload(self, inner_bounds, outer_bounds):
        # The driver has copied so little before it returns.
        values = inner_bounds + outer_bounds
        status = self._driver.cuMemcpyHtoDAsync_v2(self._bounds, values, 16, self._stream)
        self._demand(status, "a copy to the GPU failed")
        return self._bounds, self._bounds + 8

    def _read(self, kind, address):
        value = kind()
        size = ctypes.sizeof(value)
        status = self._driver.cuMemcpyDtoHAsync_v2(ctypes.byref(value), address, size, self._stream)
        self._demand(status, "a copy from the GPU failed")
        status = self._driver.cuStreamSynchronize(self._stream)
        self._demand(status, "a kernel before this point failed")
        return getattr(value, "value", value)

    def _demand(self, status, what):
        if status:
            _check(self._driver, status, what)


def rank(quantile, n):
    """The rank of the lower neighbour, whether the upper one is another, and the way between them.

    In float32 up to 2^24 elements and in double above, as kif_threshold.
    """
    real = numpy.float32 if n <= 1 << 24 else numpy.float64
    place = real(numpy.float32(quantile)) * real(n - 1)
    lower = math.floor(place)
    return lower, int(math.ceil(place) > lower), float(numpy.float32(place - real(lower)))
