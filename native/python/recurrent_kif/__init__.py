"""Kernels of importance-guided knowledge fusion, in place on NumPy arrays and PyTorch CPU tensors."""

from ._kernels import AdamWStep, ImportanceRule, KifError, Kernels, MaskCounts, MergeRule

__all__ = ["AdamWStep", "ImportanceRule", "KifError", "Kernels", "MaskCounts", "MergeRule"]
