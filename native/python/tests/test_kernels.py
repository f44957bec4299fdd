import math
import sys
import timeit
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from recurrent_kif import AdamWStep, ImportanceRule, Kernels, MaskCounts, MergeRule, _kernels

N = 10_007  # no multiple of any block


@pytest.fixture(scope="module")
def kernels():
    with Kernels(threads=2) as k:
        yield k


def arrays(count, n=N, seed=3):
    random = np.random.default_rng(seed)
    return [random.standard_normal(n).astype(np.float32) for _ in range(count)]


f = np.float32


def test_importance_has_the_bits_of_the_formula_in_numpy(kernels):
    w, g, I, U = arrays(4)
    I, U = abs(I), abs(U)
    s = abs(w * (g * f(0.5)))
    i = f(0.85) * I + f(1 - 0.85) * s
    u = f(0.75) * U + f(1 - 0.75) * abs(s - i)
    kernels.importance(w, g, I, U, ImportanceRule(betas=(0.85, 0.75)), clip=0.5)
    np.testing.assert_array_equal(I, i)
    np.testing.assert_array_equal(U, u)


@pytest.mark.parametrize("step", [1, 2, 50])
def test_adamw_has_the_bits_of_the_formula_in_numpy(kernels, step):
    w, g, m, v = arrays(4)
    v = abs(v)
    expected_m = m + f(1 - 0.9) * (g - m)
    expected_v = f(0.999) * v + f(1 - 0.999) * (g * g)
    root = np.sqrt(expected_v) / f(math.sqrt(1 - 0.999**step)) + f(1e-8)
    expected_w = f(1 - 0.01 * 0.1) * w - f(0.01 / (1 - 0.9**step)) * (expected_m / root)
    kernels.adamw(w, g, m, v, AdamWStep(step, 0.01, weight_decay=0.1))
    np.testing.assert_array_equal(m, expected_m)
    np.testing.assert_array_equal(v, expected_v)
    np.testing.assert_array_equal(w, expected_w)


def test_one_pass_has_the_bits_of_two(kernels):
    one = arrays(6)
    one[3:] = [abs(a) for a in one[3:]]
    two = [a.copy() for a in one]
    step, rule = AdamWStep(3, 1e-3), ImportanceRule("mixed")
    w, g, m, v, I, U = one
    kernels.adamw_importance(w, g, m, v, I, U, step, rule, clip=0.25)
    w, g, m, v, I, U = two
    kernels.adamw(w, g, m, v, step, clip=0.25)
    kernels.importance(w, g, I, U, rule, clip=0.25)
    for a, b in zip(one, two):
        np.testing.assert_array_equal(a, b)


def test_threshold_is_the_interpolated_quantile(kernels):
    I, U = (abs(a) for a in arrays(2))
    for quantile in (0.0, 0.5, 0.8, 1.0):
        expected = np.quantile((I * U).astype(np.float64), quantile)
        assert kernels.threshold(I, U, quantile) == pytest.approx(expected, rel=1e-4)
    assert kernels.threshold(np.arange(1, 9, dtype=f), quantile=0.5) == 4.5


@pytest.mark.parametrize("score", ["sensitivity", "sensitivity-times-uncertainty"])
def test_merge_has_the_bits_of_the_formula_in_numpy(kernels, score):
    w, base, snapshot, *importances = arrays(7)
    ii, iu, oi, ou = (abs(a) for a in importances)
    alone = score == "sensitivity"
    new = ii > f(0.5) if alone else ii * iu > f(0.5)
    old = oi > f(0.4) if alone else oi * ou > f(0.4)
    a = np.select([new & old, new, old], [f(0.4), f(1), f(0)], f(0.5))
    b = np.select([new & old, new, old], [f(0.6), f(0), f(1)], f(0.5))
    expected = base + (a * (snapshot - base) + b * (w - snapshot))
    classes = MaskCounts(*(int(c.sum()) for c in (new & old, new & ~old, old & ~new, ~new & ~old)))
    pairs = ((ii, None), (oi, None)) if alone else ((ii, iu), (oi, ou))
    assert kernels.mask_counts(*pairs, 0.5, 0.4) == classes
    outer = oi.copy()
    kernels.merge(w, base, snapshot, (ii, iu), (oi, ou), 0.5, 0.4, MergeRule(score))
    np.testing.assert_array_equal(w, expected)
    np.testing.assert_array_equal(base, expected)
    assert not ii.any() and not iu.any()  # reset
    np.testing.assert_array_equal(oi, outer)


def test_soft_weights_follow_the_softmax_of_where_scores_lie_in_their_range(kernels):
    w, base, snapshot, *importances = arrays(7)
    ii, iu, oi, ou = (abs(a) for a in importances)
    inner, outer = ii * iu, oi * ou
    new, old = kernels.range(ii, iu), kernels.range(oi, ou)
    assert new == (inner.min(), inner.max()) and old == (outer.min(), outer.max())
    assert kernels.range(ii) == (ii.min(), ii.max())
    x, y = ((s.astype(np.float64) - a) / (b - a) for s, (a, b) in ((inner, new), (outer, old)))
    a = np.exp(x / 0.3) / (np.exp(x / 0.3) + np.exp(y / 0.3))
    expected = base + (a * (snapshot - base) + (1 - a) * (w - snapshot))
    rule = MergeRule(soft_temperature=0.3)
    kernels.merge(w, base, snapshot, (ii, iu), (oi, ou), new, old, rule)
    np.testing.assert_allclose(w, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(w, base)
    assert not ii.any() and oi.any()


def test_what_soft_weights_cannot_use_is_refused(kernels):
    w, base, snapshot, i, u, o, p = arrays(7)
    pairs = (i, u), (o, p)
    for temperature in (0, -1, math.nan, math.inf, 1e-60):
        with pytest.raises(ValueError, match="soft_temperature"):
            MergeRule(soft_temperature=temperature)
    with pytest.raises(ValueError, match="leave out their factors"):
        MergeRule(soft_temperature=1, shared=(1, 1))
    before = w.copy()
    with pytest.raises(TypeError, match="inner_bounds: expected a pair"):
        kernels.merge(w, base, snapshot, *pairs, 0.5, (0, 1), MergeRule(soft_temperature=1))
    with pytest.raises(TypeError, match="outer_bounds: expected a number"):
        kernels.merge(w, base, snapshot, *pairs, 0.5, (0, 1), MergeRule())
    with pytest.raises(ValueError, match="outer_bounds: expected a number, found NaN"):
        soft = MergeRule(soft_temperature=1)
        kernels.merge(w, base, snapshot, *pairs, (0, 1), (0, math.nan), soft)
    np.testing.assert_array_equal(w, before)
    with pytest.raises(ValueError, match="at least one element"):
        kernels.range(np.empty(0, f))
    i[3] = math.nan
    with pytest.raises(ValueError, match="NaN"):
        kernels.range(i)


def test_products_are_accumulated(kernels):
    sum, a, b = arrays(3)
    expected = sum + f(0.5) * (a * b)
    kernels.accumulate_product(sum, a, b, 0.5)
    np.testing.assert_array_equal(sum, expected)
    expected = sum + a * a
    kernels.accumulate_product(sum, a, a)
    np.testing.assert_array_equal(sum, expected)
    with pytest.raises(ValueError, match="overlap"):
        kernels.accumulate_product(sum, a, sum)


class Named(np.ndarray):
    pass


def test_arrays_of_other_kinds_are_worked_on_too(kernels):
    v, term = arrays(2)
    expected = v + term
    kernels.accumulate(v.view(Named), term.view(Named))
    np.testing.assert_array_equal(v, expected)
    term.flags.writeable = False
    kernels.accumulate(v, term)
    np.testing.assert_array_equal(v, expected + term)


def test_small_ones(kernels):
    v, term = arrays(2)
    assert kernels.squared_norm(v) == pytest.approx((v.astype(np.float64) ** 2).sum(), rel=1e-12)
    expected = v + f(0.5) * term
    kernels.accumulate(v.reshape(1, N), term, 0.5)  # any shape, in place
    np.testing.assert_array_equal(v, expected)
    empty = np.empty(0, f)
    kernels.accumulate(empty, empty.copy())
    assert kernels.threads == 2 and kernels.instruction_set in ("baseline", "avx2", "avx512")


def read_only(n):
    array = np.ones(n, f)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "bad, error, message",
    [
        (lambda w: np.ones(N), TypeError, "U: expected float32, found float64"),
        (lambda w: np.ones(N, ">f4"), TypeError, "U: expected float32"),
        (lambda w: np.ones(2 * N, f)[::2], ValueError, "U: expected a contiguous array"),
        (lambda w: np.ones(N - 1, f), ValueError, "U: expected 10007 elements as I has"),
        (lambda w: w, ValueError, "overlap"),
        (lambda w: read_only(N), ValueError, "U: the array is read-only"),
        (lambda w: [1.0] * N, TypeError, "U: expected a NumPy array or a tensor, found list"),
        (lambda w: np.frombuffer(bytearray(4 * N + 1), f, N, 1), ValueError, "U: .*aligned"),
    ],
)
def test_a_bad_array_is_refused_and_nothing_is_written(kernels, bad, error, message):
    w, g, I = arrays(3)
    before = I.copy()
    with pytest.raises(error, match=message):
        kernels.importance(w, g, I, bad(w), ImportanceRule())
    np.testing.assert_array_equal(I, before)


# By name of a kernel: which of its arrays are written to, and a call with arrays in that order.
KERNELS = {
    "accumulate": ("w-", lambda k, a: k.accumulate(*a)),
    "accumulate_product": ("w--", lambda k, a: k.accumulate_product(*a)),
    "squared_norm": ("-", lambda k, a: k.squared_norm(*a)),
    "adamw": ("w-ww", lambda k, a: k.adamw(*a, AdamWStep(1, 1e-3))),
    "importance": ("--ww", lambda k, a: k.importance(*a, ImportanceRule())),
    "adamw_importance": (
        "w-wwww",
        lambda k, a: k.adamw_importance(*a, AdamWStep(1, 1e-3), ImportanceRule()),
    ),
    "threshold": ("--", lambda k, a: k.threshold(*a)),
    "threshold of I": ("-", lambda k, a: k.threshold(*a)),
    "range": ("--", lambda k, a: k.range(*a)),
    "merge": ("ww-ww--", lambda k, a: k.merge(*a[:3], a[3:5], a[5:], 0.5, 0.5, MergeRule())),
    "merge that resets the outer": (
        "ww---ww",
        lambda k, a: k.merge(
            *a[:3], a[3:5], a[5:], 0.5, 0.5, MergeRule(reset_inner=False, reset_outer=True)
        ),
    ),
    "merge by I": (
        "ww---",
        lambda k, a: k.merge(
            *a[:3], (a[3], None), (a[4], None), 0.5, 0.5, MergeRule("sensitivity", reset_inner=False)
        ),
    ),
    "soft merge": (
        "ww-ww--",
        lambda k, a: k.merge(
            *a[:3], a[3:5], a[5:], (0, 1), (0, 1), MergeRule(soft_temperature=1)
        ),
    ),
    "mask_counts": ("----", lambda k, a: k.mask_counts(a[:2], a[2:], 0.5, 0.5)),
    "mask_counts of I": ("--", lambda k, a: k.mask_counts((a[0], None), (a[1], None), 0.5, 0.5)),
}
SHORT = 100


def refuse_at_every_place(kernels, of, bad, errors, message, only="w-"):
    """A bad array in the place of each array of each kernel; nothing is written to the others."""
    for name, (written, call) in KERNELS.items():
        for place, kind in enumerate(written):
            given = [of(abs(a)) for a in arrays(len(written), SHORT)]
            before = [np.asarray(a).copy() for a in given]
            given[place] = bad()
            if kind not in only:
                call(kernels, given)
                continue
            with pytest.raises(errors, match=message):
                call(kernels, given)
            for i, (a, b) in enumerate(zip(given, before)):
                if i != place:
                    np.testing.assert_array_equal(np.asarray(a), b, err_msg=name)


def test_every_kernel_refuses_a_bad_array_at_every_place(kernels):
    for bad, error, message in (
        (lambda: np.ones(SHORT), TypeError, "expected float32, found float64"),
        (lambda: np.ones(2 * SHORT, f)[::2], ValueError, "contiguous"),
        (lambda: [1.0] * SHORT, TypeError, "expected a NumPy array or a tensor, found list"),
        (lambda: np.frombuffer(bytearray(4 * SHORT + 1), f, SHORT, 1), ValueError, "aligned to 4"),
    ):
        refuse_at_every_place(kernels, lambda a: a, bad, error, message)
    unwritable = lambda: read_only(SHORT)
    refuse_at_every_place(kernels, lambda a: a, unwritable, ValueError, "read-only", "w")


def test_every_kernel_refuses_a_bad_tensor_at_every_place(kernels):
    torch = pytest.importorskip("torch")

    def freed():
        tensor = torch.ones(SHORT)
        tensor.untyped_storage().resize_(0)
        return tensor

    for bad, error, message in (
        (lambda: torch.ones(SHORT, dtype=torch.float64), TypeError, "found torch.float64"),
        (lambda: torch.ones(2 * SHORT, dtype=torch.float16), TypeError, "found torch.float16"),
        (lambda: torch.ones(2 * SHORT)[::2], ValueError, "contiguous"),
        (lambda: torch.ones(SHORT).tolist(), TypeError, "found list"),
        (lambda: torch.ones(SHORT, device="meta"), NotImplementedError, "on meta"),
        (lambda: torch.ones(SHORT).to_sparse(), TypeError, "expected a dense tensor"),
        (lambda: torch.ones(10, SHORT // 10).to_sparse_csr(), TypeError, "expected a dense tensor"),
        (
            lambda: torch.frombuffer(bytearray(4 * SHORT + 1), dtype=torch.float32, offset=1),
            ValueError,
            "aligned to 4",
        ),
        (freed, ValueError, "not in memory"),
    ):
        refuse_at_every_place(kernels, torch.from_numpy, bad, error, message)


@pytest.mark.parametrize("kind", ["NumPy", "torch"])
def test_every_kernel_refuses_other_lengths_overlaps_and_none(kernels, kind):
    of = (lambda a: a) if kind == "NumPy" else pytest.importorskip("torch").from_numpy
    for name, (written, call) in KERNELS.items():
        count = len(written)
        for place in range(count):
            given = [of(abs(a)) for a in arrays(count, SHORT)]
            for length in (0, SHORT - 1) if count > 1 else ():
                bad = [*given]
                bad[place] = of(np.ones(length, f))
                with pytest.raises(ValueError, match="elements as"):
                    call(kernels, bad)
            bad = [*given]
            bad[place] = None
            if name not in ("threshold", "range") or place == 0:
                with pytest.raises((TypeError, ValueError), match="found NoneType|U"):
                    call(kernels, bad)
            both = of(np.ones(SHORT + 1, f))
            for other in range(place):
                bad = [*given]
                bad[other], bad[place] = both[:-1], both[1:]
                with pytest.raises(ValueError, match="and .* overlap"):
                    call(kernels, bad)
            assert (both == 1).all()
            for a, b in zip(given, arrays(count, SHORT)):
                np.testing.assert_array_equal(np.asarray(a), abs(b))


def test_arrays_without_elements_are_left_alone(kernels):
    for name, (written, call) in KERNELS.items():
        none = [np.empty(0, f) for _ in written]
        if name.startswith(("threshold", "range")):
            with pytest.raises(ValueError, match="at least one element"):
                call(kernels, none)
        else:
            call(kernels, none)


def test_what_is_no_bound_and_no_pair_is_refused(kernels):
    w, base, snapshot, i, u, o, p = arrays(7)
    before = w.copy()
    for bad in (None, "0.5", w, (0.5, 0.5)):
        with pytest.raises(TypeError, match="outer_bounds: expected a number"):
            kernels.merge(w, base, snapshot, (i, u), (o, p), 0.5, bad, MergeRule())
        with pytest.raises(TypeError, match="inner_threshold: expected a number"):
            kernels.mask_counts((i, u), (o, p), bad, 0.5)
    for bad in (None, 0.5, (0.5,), (0, 1, 2), "ab", w):
        with pytest.raises(TypeError, match="inner_bounds: expected a pair"):
            soft = MergeRule(soft_temperature=1)
            kernels.merge(w, base, snapshot, (i, u), (o, p), bad, (0, 1), soft)
    with pytest.raises(ValueError, match="outer_threshold: expected a number, found NaN"):
        kernels.mask_counts((i, u), (o, p), 0.5, math.nan)
    for bad in (None, i, (i,), (i, u, u)):
        with pytest.raises(TypeError, match=r"expected pairs \(I, U\)"):
            kernels.merge(w, base, snapshot, bad, (o, p), 0.5, 0.5, MergeRule())
        with pytest.raises(TypeError, match=r"expected pairs \(I, U\)"):
            kernels.mask_counts((i, u), bad, 0.5, 0.5)
    np.testing.assert_array_equal(w, before)
    # Larger than any float32: nothing lies above it.
    assert kernels.mask_counts((i, u), (o, p), 1e300, 1e300) == MaskCounts(0, 0, 0, N)


def test_parts_of_one_array_that_overlap_are_refused_and_neighbours_are_not(kernels):
    both = np.ones(2 * N, f)
    with pytest.raises(ValueError, match="overlap"):
        kernels.accumulate(both[1 : N + 1], both[:N])
    kernels.accumulate(both[N:], both[:N])
    assert (both[N:] == 2).all() and (both[:N] == 1).all()


def test_nan_is_refused(kernels):
    w, base, snapshot, i, u, o, p = arrays(7)
    i[77] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        kernels.threshold(i, u)
    before = w.copy()
    with pytest.raises(ValueError, match="inner_bounds"):
        kernels.merge(w, base, snapshot, (i, u), (o, p), math.nan, 1.0, MergeRule())
    with pytest.raises(ValueError, match="clip"):
        kernels.importance(w, base, o, p, ImportanceRule(), clip=math.nan)
    with pytest.raises(ValueError, match="U may be None"):
        kernels.merge(w, base, snapshot, (i, None), (o, p), 1.0, 1.0, MergeRule())
    np.testing.assert_array_equal(w, before)


def test_what_is_no_rule_is_refused(kernels):
    with pytest.raises(ValueError, match="expected one of first-order"):
        ImportanceRule("third-order")
    with pytest.raises(TypeError, match="rule"):
        kernels.importance(*arrays(4), rule=MergeRule())
    with pytest.raises(ValueError, match="step"):
        AdamWStep(0, 1e-3)


def test_closed_kernels_say_so():
    k = Kernels(threads=1)
    k.close()
    k.close()
    with pytest.raises(ValueError, match="closed"):
        k.squared_norm(np.ones(3, f))


def test_calls_from_many_threads(kernels):
    sums = [np.zeros(N, f) for _ in range(8)]
    one = np.ones(N, f)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda s: [kernels.accumulate(s, one) for _ in range(50)], sums))
    assert all((s == 50).all() for s in sums)


def test_tensors_are_worked_on_in_place(kernels):
    torch = pytest.importorskip("torch")
    values = arrays(4)
    tensors = [torch.from_numpy(a.copy()) for a in values]
    leaf = torch.nn.Parameter(tensors[0])
    kernels.adamw(leaf, *tensors[1:3], tensors[3].abs_(), AdamWStep(1, 1e-2))
    w, g, m, v = values
    kernels.adamw(w, g, m, abs(v), AdamWStep(1, 1e-2))
    np.testing.assert_array_equal(leaf.detach().numpy(), w)
    assert leaf.detach().data_ptr() == tensors[0].data_ptr()
    # Mixed with NumPy arrays; a shared memory is seen as such.
    kernels.accumulate(tensors[1], values[2])
    with pytest.raises(ValueError, match="overlap"):
        kernels.accumulate(tensors[1], tensors[1].numpy())
    with pytest.raises(TypeError, match="float32"):
        kernels.squared_norm(torch.ones(3, dtype=torch.bfloat16))
    with pytest.raises(ValueError, match="contiguous"):
        kernels.squared_norm(torch.ones(3, 4).T)
    with pytest.raises(NotImplementedError, match="meta"):
        kernels.squared_norm(torch.ones(3, device="meta"))


def test_autograd_notices_a_write(kernels):
    torch = pytest.importorskip("torch")
    x = torch.ones(5, requires_grad=True)
    y = (x * x).sum()
    kernels.accumulate(x, torch.ones(5))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_what_is_written_to_counts_as_changed_and_nothing_else(kernels):
    torch = pytest.importorskip("torch")
    for name, (written, call) in KERNELS.items():
        given = [torch.from_numpy(abs(a)) for a in arrays(len(written), SHORT)]
        call(kernels, given)
        assert [t._version for t in given] == [int(kind == "w") for kind in written], name
        # Beside an array, too.
        given[-1] = given[-1].numpy()
        call(kernels, given)
        assert [t._version for t in given[:-1]] == [2 * int(k == "w") for k in written[:-1]], name


def test_tensors_without_a_version_are_worked_on(kernels):
    torch = pytest.importorskip("torch")
    with torch.inference_mode():
        sum = torch.ones(5)
    kernels.accumulate(sum, torch.ones(5))
    assert (sum == 2).all()


def test_an_older_torch_counts_one_tensor_at_a_time(kernels, monkeypatch):
    torch = pytest.importorskip("torch")
    public, counted = torch.autograd.graph.increment_version, []

    def of_one(tensor):
        counted.append(tensor)
        public(tensor)

    def private(tensor):
        raise TypeError("increment_version expect a Tensor as input")

    with monkeypatch.context() as patch:
        patch.setattr(torch.autograd.graph, "increment_version", of_one)
        patch.setattr(torch._C, "_increment_version", private)
        _kernels._remember(torch)
    try:
        w, m, v, g = (torch.ones(5) for _ in range(4))
        kernels.adamw(w, g, m, v, AdamWStep(1, 1e-3))
        assert [id(t) for t in counted] == [id(w), id(m), id(v)]
    finally:
        _kernels._remember(torch)


def test_overhead_is_reported(kernels):
    print("\nleast time of a call on 4 elements, in microseconds")
    kinds = {"NumPy": lambda a: a}
    if "torch" in sys.modules:
        kinds["torch"] = sys.modules["torch"].from_numpy
    for kind, of in kinds.items():
        w, base, snapshot, i, u, o, p = (of(abs(a)) for a in arrays(7, 4))
        rule, step, merge = ImportanceRule(), AdamWStep(1, 1e-3), MergeRule()
        with Kernels(threads=1) as k:
            calls = {
                "accumulate": lambda: k.accumulate(w, base),
                "adamw": lambda: k.adamw(w, base, i, u, step),
                "importance": lambda: k.importance(w, base, i, u, rule),
                "adamw_importance": lambda: k.adamw_importance(
                    w, base, snapshot, o, i, u, step, rule
                ),
                "threshold": lambda: k.threshold(i, u),
                "merge": lambda: k.merge(w, base, snapshot, (i, u), (o, p), 0.5, 0.5, merge),
                "mask_counts": lambda: k.mask_counts((i, u), (o, p), 0.5, 0.5),
            }
            for name, call in calls.items():
                best = min(timeit.repeat(call, number=20, repeat=200)) / 20
                print(f"{kind} {name}: {best * 1e6:.2f}")
