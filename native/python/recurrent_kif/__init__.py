"""Importance-guided knowledge fusion: its kernels, and the whole method as a callback.

The kernels work in place on NumPy arrays, PyTorch tensors on the processor and arrays on CUDA devices.
RecurrentKIFCallback runs Recurrent-KIF inside the Trainer of the Transformers library.
"""

from ._kernels import AdamWStep, ImportanceRule, KifError, Kernels, MaskCounts, MergeRule

__all__ = [
    "AdamWStep",
    "ImportanceRule",
    "KifError",
    "Kernels",
    "MaskCounts",
    "MergeRule",
    "RecurrentKIFCallback",
]


def __getattr__(name):
    # Only who asks for it needs torch and transformers.
    if name == "RecurrentKIFCallback":
        from ._callback import RecurrentKIFCallback

        return RecurrentKIFCallback
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
