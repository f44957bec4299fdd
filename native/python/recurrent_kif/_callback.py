"""Recurrent-KIF as a callback of the Hugging Face Trainer."""

import io
import os
import random
import warnings
from pathlib import Path
from typing import NamedTuple, Optional, Tuple, Union

import torch
from transformers import TrainerCallback

from . import _cuda
from ._kernels import SOFT, ImportanceRule, Kernels, MaskCounts, MergeRule

if not hasattr(TrainerCallback, "on_optimizer_step"):
    raise ImportError("RecurrentKIFCallback needs transformers 4.48 or newer")

_STATE = "recurrent_kif.pt"
_FORMAT = 1
_MODES = ("reference", "paper")
_OUTER_LOOPS = ("shared-optimizer", "importance-only")


class Fusion(NamedTuple):
    """What happened in one fusion, after so many updates of the task.

    By a rule with a soft_temperature there are ranges in place of thresholds, and no classes to count.
    """

    update: int
    inner_threshold: Union[float, Tuple[float, float]]
    outer_threshold: Union[float, Tuple[float, float]]
    counts: Optional[MaskCounts]


def memory_rows(targets, percent, draw):
    """The rows of a finished task that stay in the memory: a share of it, spread over its classes.

    Of N rows with C distinct targets n = floor(N*percent/100) are wanted: from each class, in the
    order in which they first appear, max(1, floor(n/C)) at random (or all it has), and what is
    missing to n from the rest of the task.
    """
    if percent == 0 or not targets:
        return []
    wanted = int(len(targets) * percent / 100)
    classes = {}
    for row, target in enumerate(targets):
        classes.setdefault(target, []).append(row)
    quota = max(1, wanted // len(classes))
    rows = []
    for members in classes.values():
        rows += draw.sample(members, min(quota, len(members)))
    taken = set(rows)
    rest = [row for row in range(len(targets)) if row not in taken]
    return rows + draw.sample(rest, max(0, wanted - len(rows)))


class RecurrentKIFCallback(TrainerCallback):
    """Runs Recurrent-KIF inside ``Trainer.train``; one callback goes through all tasks.

    It watches the updates on the new task, replays the memory after every ``cycle_length`` of them
    with the Trainer's own optimizer, and merges what both learned into the trainable parameters.
    When a task ends, it keeps ``memory_percent`` of the training set for those to come.

    memory             samples of earlier tasks, as the training set gives them; begins empty
    mode               "reference", as the method was released, or "paper", as it was published
    cycle_length       updates on new data between two fusions
    outer_steps        updates on the memory before each fusion
    quantile           of the scores above which a parameter is important
    betas              smoothing of sensitivity and uncertainty; by mode 0.85 or 0.55
    merge              a MergeRule; by mode. One with a soft_temperature has no use for the quantile
    outer_loop         "shared-optimizer": replaying moves the weights; "importance-only": it does not
    memory_percent     share of a finished task that is kept; 0 to fill ``memory`` by hand
    memory_batch_size  samples of one update on the memory
    target             from a sample to its class, over which the memory is spread; by default the
                       labels
    compute_loss       from (model, batch) to the loss of a batch of the memory; by default the
                       model's own
    threads            of the kernels, for parameters that are not on a GPU

    ``last_fusion`` says what the latest fusion did, ``refused`` counts updates on the memory whose
    gradient was not finite and which therefore changed nothing.
    """

    def __init__(
        self,
        memory=(),
        *,
        mode="reference",
        cycle_length=8,
        outer_steps=4,
        quantile=0.8,
        betas=None,
        merge=None,
        outer_loop="shared-optimizer",
        memory_percent=2.0,
        memory_batch_size=8,
        seed=42,
        target=None,
        compute_loss=None,
        threads=None,
    ):
        for name, value, known in (("mode", mode, _MODES), ("outer_loop", outer_loop, _OUTER_LOOPS)):
            if value not in known:
                raise ValueError(f"{name}: expected one of {', '.join(known)}, found {value!r}")
        for name, value in (
            ("cycle_length", cycle_length),
            ("outer_steps", outer_steps),
            ("memory_batch_size", memory_batch_size),
        ):
            if value < 1:
                raise ValueError(f"{name}: expected a positive number, found {value}")
        if not 0 <= quantile <= 1:
            raise ValueError(f"quantile: expected a number in [0, 1], found {quantile}")
        if not 0 <= memory_percent <= 100:
            raise ValueError(f"memory_percent: expected a number in [0, 100], found {memory_percent}")
        paper = mode == "paper"
        self.memory = [_plain(sample) for sample in memory]
        self.tasks = 0
        self.refused = 0
        self.last_fusion = None
        self._cycle_length, self._outer_steps, self._quantile = cycle_length, outer_steps, quantile
        self._rule = ImportanceRule(betas=betas or ((0.55, 0.55) if paper else (0.85, 0.85)))
        self._merge = merge or (
            MergeRule("sensitivity", shared=(1, 1), redundant=(0, 0)) if paper else MergeRule()
        )
        self._moves = outer_loop == "shared-optimizer"
        self._percent, self._batch_size, self._seed = memory_percent, memory_batch_size, seed
        self._target = target or _labels
        self._compute_loss = compute_loss or _model_loss
        self._threads = threads
        self._knowledge = None

    # What the Trainer calls

    def on_train_begin(self, args, state, control, model=None, train_dataloader=None, **kwargs):
        _require_supported(args)
        dataset = train_dataloader.dataset
        if self._percent > 0 and not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            raise ValueError(
                "RecurrentKIFCallback cannot choose samples from a streamed training set: give"
                " memory_percent=0 and put them into callback.memory yourself"
            )
        stored = self._stored(args, state.global_step) if state.global_step else None
        if stored:
            self.memory, self.tasks = stored["memory"], stored["tasks"]
            self.refused = stored["refused"]
        self._knowledge = None
        if self.memory:
            self._knowledge = _Knowledge(model, self._threads)
            if stored:
                self._knowledge.restore(stored)

    def on_optimizer_step(self, args, state, control, **kwargs):
        if self._knowledge:
            self._knowledge.observe(self._knowledge.inner, self._rule)

    def on_step_end(
        self, args, state, control, model=None, optimizer=None, train_dataloader=None, **kwargs
    ):
        if not self._knowledge or state.global_step % self._cycle_length:
            return
        self._knowledge.begin_outer_loop()
        for repeat in range(self._outer_steps):
            batch = self._draw(state.global_step, repeat, train_dataloader.collate_fn)
            self._replay(args, model, optimizer, batch)
        self.last_fusion = self._knowledge.fuse(state.global_step, self._quantile, self._merge)

    def on_save(self, args, state, control, **kwargs):
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if not folder.is_dir() or not args.should_save:
            return
        contents = {
            "format": _FORMAT,
            "memory": self.memory,
            "tasks": self.tasks,
            "refused": self.refused,
            **(self._knowledge.vectors() if self._knowledge else {}),
        }
        _write(folder / _STATE, contents)

    def on_train_end(self, args, state, control, train_dataloader=None, **kwargs):
        if self._knowledge:
            self._knowledge.close()
            self._knowledge = None
        self.remember(train_dataloader.dataset)
        self.tasks += 1

    # The memory

    def remember(self, dataset, percent=None):
        """Adds a share of a data set to the memory; done by itself when a task ends."""
        percent = self._percent if percent is None else percent
        if percent == 0:
            return
        targets = [self._target(dataset[row]) for row in range(len(dataset))]
        draw = random.Random(f"memory {self._seed} {self.tasks}")
        self.memory += [_plain(dataset[row]) for row in memory_rows(targets, percent, draw)]

    def save_memory(self, file):
        """Writes the memory and the number of finished tasks, for another process to go on with."""
        _write(Path(file), {"format": _FORMAT, "memory": self.memory, "tasks": self.tasks})

    def load_memory(self, file):
        """Takes what ``save_memory`` wrote."""
        stored = _read(Path(file))
        self.memory, self.tasks = stored["memory"], stored["tasks"]

    def _draw(self, update, repeat, collate):
        # What is drawn follows from where it is drawn, so that a resumed run draws the same.
        draw = random.Random(f"replay {self._seed} {self.tasks} {update} {repeat}")
        rows = draw.sample(range(len(self.memory)), min(self._batch_size, len(self.memory)))
        return collate([dict(self.memory[row]) for row in rows])

    # The outer loop

    def _replay(self, args, model, optimizer, batch):
        batch = {
            name: value.to(args.device) if isinstance(value, torch.Tensor) else value
            for name, value in batch.items()
        }
        model.train()
        loss = self._compute_loss(model, batch) / args.gradient_accumulation_steps
        loss.backward()
        parameters = self._knowledge.parameters
        limit = args.max_grad_norm if args.max_grad_norm and args.max_grad_norm > 0 else float("inf")
        norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
        if torch.isfinite(norm):
            if self._moves:
                optimizer.step()
            self._knowledge.observe(self._knowledge.outer, self._rule)
        else:
            self.refused += 1
        model.zero_grad()

    def _stored(self, args, step):
        folders = [Path(args.output_dir) / f"checkpoint-{step}"]
        if isinstance(args.resume_from_checkpoint, str):
            folders.insert(0, Path(args.resume_from_checkpoint))
        for folder in folders:
            if (folder / _STATE).is_file():
                return _read(folder / _STATE)
        raise FileNotFoundError(
            f"the Trainer goes on after update {step}, but there is no {_STATE} in"
            f" {' or '.join(str(folder) for folder in folders)}: was that checkpoint saved with this"
            " callback? One elsewhere is to be named in TrainingArguments(resume_from_checkpoint=...)"
        )


class _Knowledge:
    """The trainable parameters as flat float32 vectors, and what each is important to."""

    NAMES = ("base", "inner I", "inner U", "outer I", "outer U")

    def __init__(self, model, threads):
        named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        if not named:
            raise ValueError("the model has no trainable parameters")
        self.layout = [(name, tuple(p.shape)) for name, p in named]
        self.parameters = [p for _, p in named]
        for name, p in named:
            if not p.is_floating_point() or type(p.data) is not torch.Tensor:
                raise TypeError(f"{name}: expected a plain tensor of floats to train, found {type(p.data).__name__} of {p.dtype}")
        self._kernels = Kernels(threads)
        device = _device_of_kernels({p.device for p in self.parameters})
        size = sum(p.numel() for p in self.parameters)

        def vector():
            return torch.zeros(size, dtype=torch.float32, device=device)

        self.w, self._g, self.base, self._snapshot = (vector() for _ in range(4))
        self.inner, self.outer = (vector(), vector()), (vector(), vector())
        self._w_parts, self._g_parts = self._parts(self.w), self._parts(self._g)
        self._gather(self._w_parts, [p.data for p in self.parameters])
        self.base.copy_(self.w)

    def _parts(self, vector):
        sizes = [p.numel() for p in self.parameters]
        return [
            part.view(p.shape) for part, p in zip(torch.split(vector, sizes), self.parameters)
        ]

    @staticmethod
    @torch.no_grad()
    def _gather(parts, tensors):
        torch._foreach_copy_(parts, tensors)

    def observe(self, importance, rule):
        """Updates an importance from the weights as they are now and the gradients behind them."""
        gradients = [p.grad for p in self.parameters]
        if any(g is None for g in gradients):
            if all(g is None for g in gradients):
                raise RuntimeError(
                    "RecurrentKIFCallback found no gradients after the optimizer's step: an optimizer"
                    " that steps within the backward pass is not supported"
                )
            # A parameter that took no part has a gradient of zero.
            for part, g in zip(self._g_parts, gradients):
                part.zero_() if g is None else part.copy_(g)
        else:
            self._gather(self._g_parts, gradients)
        self._gather(self._w_parts, [p.data for p in self.parameters])
        self._kernels.importance(self.w, self._g, *importance, rule)

    def begin_outer_loop(self):
        self._snapshot.copy_(self.w)

    def fuse(self, update, quantile, rule):
        """Merges both task vectors into the parameters, which are the next base."""
        pairs = (self.inner, self.outer)
        scored = tuple((I, U if rule.score == 0 else None) for I, U in pairs)
        soft = rule.weighting == SOFT
        bounds = []
        for name, (I, U) in zip(("new task", "memory"), scored):
            try:
                bounds.append(
                    self._kernels.range(I, U) if soft else self._kernels.threshold(I, U, quantile)
                )
            except ValueError as e:
                raise FloatingPointError(
                    f"the importance to the {name} is not a number after update {update}: a gradient"
                    " or a weight became infinite or no number"
                ) from e
        counts = None if soft else self._kernels.mask_counts(*scored, *bounds)
        self._kernels.merge(self.w, self.base, self._snapshot, *pairs, *bounds, rule)
        parameters = [p.data for p in self.parameters]
        self._gather(parameters, self._w_parts)
        # Parameters of fewer bits were rounded: the next cycle begins from what they hold.
        self._gather(self._parts(self.base), parameters)
        return Fusion(update, *bounds, counts)

    def vectors(self):
        vectors = dict(zip(self.NAMES, (self.base, *self.inner, *self.outer)))
        return {"layout": self.layout, "vectors": {n: v.cpu() for n, v in vectors.items()}}

    def restore(self, stored):
        if "layout" not in stored:
            raise ValueError("the checkpoint was saved without a memory, but now there is one")
        if stored["layout"] != self.layout:
            ours, theirs = dict(self.layout), dict(stored["layout"])
            differing = [n for n in {**theirs, **ours} if ours.get(n) != theirs.get(n)]
            raise ValueError(
                "the checkpoint belongs to other trainable parameters; first that differ: "
                + ", ".join(differing[:3] or ["their order"])
            )
        for name, vector in zip(self.NAMES, (self.base, *self.inner, *self.outer)):
            vector.copy_(stored["vectors"][name])

    def close(self):
        self._kernels.close()


def _device_of_kernels(devices):
    """Where the vectors lie: with the parameters on a GPU, if the kernels run there."""
    device = devices.pop()
    if devices or device.type != "cuda" or torch.version.cuda is None:
        return torch.device("cpu")
    try:
        _cuda.require(device.index)
        return device
    except (_cuda.CudaUnavailable, _cuda.CudaError) as e:
        warnings.warn(f"the kernels do not run on {device}, but on the processor: {e}", stacklevel=2)
        return torch.device("cpu")


def _require_supported(args):
    for fails, what in (
        (args.fp16, "fp16=True (its gradient scaler skips steps and hides gradients): use bf16 or float32"),
        (args.deepspeed, "DeepSpeed (it shards gradients and optimizer)"),
        (getattr(args, "fsdp", None), "FSDP (it shards parameters)"),
        (args.world_size > 1, f"{args.world_size} processes: run one (several tasks or seeds side by side gain as much)"),
    ):
        if fails:
            raise NotImplementedError(f"RecurrentKIFCallback does not support {what}")


def _plain(sample):
    """A sample as a dictionary of numbers, lists and tensors, which can be saved."""
    plain = {}
    for name, value in dict(sample).items():
        if isinstance(value, torch.Tensor):
            value = value.detach().cpu()
        elif hasattr(value, "tolist"):
            value = value.tolist()
        plain[name] = value
    return plain


def _labels(sample):
    labels = sample.get("labels", sample.get("label", ()))
    labels = labels.tolist() if hasattr(labels, "tolist") else labels
    return tuple(n for n in labels if n != -100) if isinstance(labels, (list, tuple)) else labels


def _model_loss(model, batch):
    outputs = model(**batch)
    loss = outputs["loss"] if isinstance(outputs, dict) else outputs[0]
    if loss is None:
        raise ValueError(
            "the model returned no loss for a batch of the memory: give it labels, or give"
            " RecurrentKIFCallback(compute_loss=...)"
        )
    return loss


def _write(file, contents):
    new = file.with_name(file.name + ".new")
    torch.save(contents, new)
    os.replace(new, file)


def _read(file):
    contents = io.BytesIO(file.read_bytes())
    try:
        stored = torch.load(contents, map_location="cpu", weights_only=True)
        found = stored["format"]
    except Exception as e:
        raise ValueError(f"{file}: expected what RecurrentKIFCallback writes, found something else or a part of it") from e
    if found != _FORMAT:
        raise ValueError(f"{file}: expected format {_FORMAT}, found {found}; it is from another version")
    return stored
