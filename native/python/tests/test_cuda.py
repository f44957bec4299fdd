"""Arrays on a GPU, with the driver's place taken by the CUDA kernels compiled for the processor."""

import ctypes
import os

import numpy as np
import pytest

from recurrent_kif import AdamWStep, ImportanceRule, Kernels, MergeRule, _cuda

LIBRARY = os.environ.get("KIF_EMULATED_DRIVER", "")
N = 10_007
f = np.float32


class Device:
    """Memory of the emulated GPU, which the host cannot touch, and its queue."""

    def __init__(self):
        self.driver = driver = ctypes.CDLL(LIBRARY)
        self.context, self.queue = ctypes.c_void_p(), ctypes.c_void_p()
        driver.cuInit(0)
        driver.cuDevicePrimaryCtxRetain(ctypes.byref(self.context), 0)
        self.call("cuStreamCreate", ctypes.byref(self.queue), 0)

    def call(self, name, *arguments):
        # As another library would, which leaves its context as it found it.
        self.driver.cuCtxPushCurrent_v2(self.context)
        assert getattr(self.driver, name)(*arguments) == 0
        self.driver.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))

    def put(self, array):
        return OnDevice(self, array)


class OnDevice:
    """An array as CuPy, Numba and torch show theirs."""

    def __init__(self, device, array, read_only=False):
        address = ctypes.c_int64()
        device.call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(array.nbytes))
        self.device, self.address, self.size = device, address.value, array.size
        host = array.ctypes.data_as(ctypes.c_void_p)
        size = ctypes.c_size_t(array.nbytes)
        device.call("cuMemcpyHtoDAsync_v2", address, host, size, device.queue)
        self.__cuda_array_interface__ = {
            "version": 3,
            "typestr": array.dtype.str,
            "shape": array.shape,
            "strides": None,
            "data": (self.address, read_only),
            "stream": device.queue.value,
        }

    def get(self):
        array = np.empty(self.size, f)
        host, size = array.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(array.nbytes)
        address = ctypes.c_int64(self.address)
        self.device.call("cuMemcpyDtoHAsync_v2", host, address, size, self.device.queue)
        return array


@pytest.fixture(scope="module")
def gpu():
    if not os.path.isfile(LIBRARY):
        pytest.skip("SKIPPED: no C++ compiler has built the emulated CUDA driver")
    _cuda._DRIVER = LIBRARY
    return Device()


@pytest.fixture(scope="module")
def kernels(gpu):
    with Kernels(threads=2) as k:
        yield k


def arrays(count, seed=3):
    random = np.random.default_rng(seed)
    return [random.standard_normal(N).astype(f) for _ in range(count)]


def both(gpu, values, call):
    """The same call on the processor and on the GPU; the same bits are left and returned."""
    remote = [gpu.put(v) for v in values]
    expected = call(*values)
    assert call(*remote) == expected
    for here, there in zip(values, remote):
        np.testing.assert_array_equal(there.get(), here)
    return expected


def test_every_kernel_gives_the_bits_of_the_processor(gpu, kernels):
    k = kernels
    both(gpu, arrays(2), lambda s, t: k.accumulate(s, t, 0.5))
    both(gpu, arrays(3), lambda s, a, b: k.accumulate_product(s, a, b, 0.5))
    both(gpu, arrays(2), lambda s, a: k.accumulate_product(s, a, a))
    assert both(gpu, arrays(1), lambda v: k.squared_norm(v)) > 0
    step, rule = AdamWStep(3, 1e-2, weight_decay=0.1), ImportanceRule("mixed", (0.85, 0.75))
    w, g, m, v, I, U = arrays(6)
    both(gpu, [w, g, m, abs(v)], lambda w, g, m, v: k.adamw(w, g, m, v, step, 0.5))
    both(gpu, [w, g, abs(I), abs(U)], lambda w, g, I, U: k.importance(w, g, I, U, rule, 0.5))
    values = [w, g, m, abs(v), abs(I), abs(U)]
    both(gpu, values, lambda *a: k.adamw_importance(*a, step, rule))


@pytest.mark.parametrize("quantile", [0.0, 0.37, 0.8, 1.0])
def test_a_fusion_gives_the_bits_of_the_processor(gpu, kernels, quantile):
    w, base, snapshot, *rest = arrays(7)

    def fuse(w, base, snapshot, ii, iu, oi, ou):
        inner, outer = (ii, iu), (oi, ou)
        bounds = kernels.threshold(*inner, quantile), kernels.threshold(*outer, quantile)
        counts = kernels.mask_counts(inner, outer, *bounds)
        kernels.merge(w, base, snapshot, inner, outer, *bounds, MergeRule())
        return bounds, counts

    both(gpu, [w, base, snapshot, *map(abs, rest)], fuse)


@pytest.mark.parametrize("score", ["sensitivity", "sensitivity-times-uncertainty"])
def test_a_soft_fusion_gives_the_bits_of_the_processor(gpu, kernels, score):
    w, base, snapshot, *rest = arrays(7)
    rule = MergeRule(score, soft_temperature=0.5, reset_inner=False)

    def fuse(w, base, snapshot, ii, iu, oi, ou):
        inner, outer = ((ii, None), (oi, None)) if score == "sensitivity" else ((ii, iu), (oi, ou))
        bounds = kernels.range(*inner), kernels.range(*outer)
        kernels.merge(w, base, snapshot, inner, outer, *bounds, rule)
        return bounds

    both(gpu, [w, base, snapshot, *map(abs, rest)], fuse)


def test_scores_without_uncertainty_need_no_array_for_it(gpu, kernels):
    w, base, snapshot, I, O = arrays(5)
    rule = MergeRule("sensitivity", reset_inner=False)

    def fuse(w, base, snapshot, I, O):
        bounds = kernels.threshold(I), kernels.threshold(O)
        counts = kernels.mask_counts((I, None), (O, None), *bounds)
        kernels.merge(w, base, snapshot, (I, None), (O, None), *bounds, rule)
        return bounds, counts

    both(gpu, [w, base, snapshot, abs(I), abs(O)], fuse)


def test_a_norm_of_many_leaves_and_of_none(gpu, kernels):
    v = np.random.default_rng(1).standard_normal(3 * 4096 * 4).astype(f)
    both(gpu, [v], lambda v: kernels.squared_norm(v))
    assert kernels.squared_norm(gpu.put(v[:5])) == kernels.squared_norm(v[:5])


def test_bad_arrays_on_a_gpu_are_refused(gpu, kernels):
    one, other = gpu.put(np.ones(N, f)), gpu.put(np.ones(N, f))
    with pytest.raises(ValueError, match="term: expected an array where sum is"):
        kernels.accumulate(one, np.ones(N, f))
    with pytest.raises(ValueError, match="overlap"):
        kernels.accumulate(one, one)
    with pytest.raises(TypeError, match="float32"):
        kernels.squared_norm(gpu.put(np.ones(N)))
    with pytest.raises(ValueError, match="read-only"):
        kernels.accumulate(OnDevice(gpu, np.ones(N, f), read_only=True), other)
    other.__cuda_array_interface__["strides"] = (8,)
    with pytest.raises(ValueError, match="contiguous"):
        kernels.accumulate(one, other)
    other.__cuda_array_interface__["strides"] = (4,)
    other.__cuda_array_interface__["data"] = (other.address + 4, False)
    with pytest.raises(ValueError, match="aligned to 16"):
        kernels.accumulate(one, other)
    nan = gpu.put(np.full(N, np.nan, f))
    with pytest.raises(ValueError, match="NaN"):
        kernels.threshold(nan)
    np.testing.assert_array_equal(one.get(), np.ones(N, f))


def test_what_the_driver_refuses_is_said_in_its_words(gpu, kernels):
    lost = gpu.put(np.ones(N, f))
    lost.__cuda_array_interface__["stream"] = 12345
    with pytest.raises(_cuda.CudaError, match="error 400"):
        kernels.squared_norm(lost)
    lost.__cuda_array_interface__["stream"] = gpu.queue.value
    assert kernels.squared_norm(lost) == N


def test_no_driver_is_said_and_the_processor_goes_on(monkeypatch):
    monkeypatch.setattr(_cuda, "_DRIVER", "libno-such-driver.so")
    _cuda._driver.cache_clear()
    _cuda._gpu.cache_clear()
    interface = {"typestr": "<f4", "shape": (4,), "data": (4096, False), "version": 3}
    array = type("Array", (), {"__cuda_array_interface__": interface})()
    with Kernels(threads=1) as k:
        with pytest.raises(NotImplementedError, match="need the NVIDIA driver"):
            k.squared_norm(array)
        assert k.squared_norm(np.ones(4, f)) == 4
    _cuda._driver.cache_clear()
