"""The callback against recordings and against the method written out, on tiny models."""

import io
import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

from recurrent_kif import MergeRule, RecurrentKIFCallback  # noqa: E402
from recurrent_kif._callback import memory_rows  # noqa: E402


# A few elements each: threads would only wait for each other.
torch.set_num_threads(1)


class Trainer(transformers.Trainer):
    """Takes the training set in its order."""

    def _get_train_sampler(self, *_):
        return torch.utils.data.SequentialSampler(self.train_dataset)


class After(transformers.TrainerCallback):
    def __init__(self, record):
        self.record = record

    def on_step_end(self, args, state, control, model=None, **_):
        self.record(state.global_step, model)


def t5(**changes):
    torch.manual_seed(7)
    config = transformers.T5Config(
        **{
            **dict(vocab_size=64, d_model=16, d_kv=4, d_ff=32, num_layers=1, num_heads=2),
            **dict(dropout_rate=0.0, decoder_start_token_id=0),
            **changes,
        }
    )
    model = transformers.T5ForConditionalGeneration._from_config(config, attn_implementation="eager")
    return peft.get_peft_model(
        model, peft.LoraConfig(r=2, lora_alpha=8, target_modules=["q", "v"], lora_dropout=0.0)
    )


def samples(n, seed):
    g = torch.Generator().manual_seed(seed)
    rows = []
    for i in range(n):
        ids = torch.randint(2, 64, (6,), generator=g).tolist() + [1]
        rows.append({"input_ids": ids, "labels": [2 + (i + seed) % 3, 1]})
    return rows


def collate(rows):
    return {
        name: torch.tensor([row[name] for row in rows]) for name in ("input_ids", "labels")
    } | {"attention_mask": torch.ones(len(rows), len(rows[0]["input_ids"]), dtype=torch.long)}


def train(folder, model, rows, callbacks, resume=None, trainer=Trainer, **changes):
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        **{
            **dict(per_device_train_batch_size=2, gradient_accumulation_steps=2, num_train_epochs=2),
            **dict(learning_rate=1e-2, warmup_steps=3, save_strategy="no", report_to=[]),
            **dict(disable_tqdm=True, logging_strategy="no", use_cpu=True, optim="adamw_torch"),
            **changes,
        },
    )
    t = trainer(
        model=model,
        args=arguments,
        train_dataset=rows,
        data_collator=collate,
        callbacks=callbacks,
    )
    # The method's loss is the mean of the micro-batches' means.
    t.model_accepts_loss_kwargs = False
    t.train(resume_from_checkpoint=resume)
    return t


def flat(model):
    return torch.cat([p.detach().flatten() for p in model.parameters() if p.requires_grad])


# Against a recording of the authors' own trainer, which the engine repeats to 1.4e-6


def recording():
    for folder in Path(__file__).resolve().parents:
        found = folder / "shared/golden/authors-t5"
        if found.is_dir():
            return found
    return None


class Recorded(RecurrentKIFCallback):
    """Replays the recorded batches of the memory in place of those it would draw."""

    def __init__(self, batches, **settings):
        super().__init__(memory=[{}], memory_percent=0, **settings)
        self.batches = iter(batches)

    def _draw(self, *_):
        return next(self.batches)


def recorded_batch(samples, task, micro):
    rows = [row if isinstance(row, list) else [task, row] for row in micro["rows"]]

    def padded(name, length, value):
        lists = [samples[t][row][name] for t, row in rows]
        return torch.tensor([ids + [value] * (length - len(ids)) for ids in lists])

    ids = padded("input_ids", micro["src_len"], 0)
    return {
        "input_ids": ids,
        "attention_mask": (ids != 0).long(),
        "labels": padded("labels", micro["tgt_len"], -100),
    }


def test_a_run_of_the_authors_is_repeated(tmp_path, monkeypatch):
    folder = recording()
    if folder is None:
        pytest.skip("SKIPPED: there is no recording of the authors' trainer beside this checkout")
    from safetensors.torch import load_file

    model = transformers.T5ForConditionalGeneration.from_pretrained(
        folder / "model", attn_implementation="eager"
    )
    model = peft.get_peft_model(
        model, peft.LoraConfig(r=8, lora_alpha=32, target_modules=["q", "v"], lora_dropout=0.0)
    )
    layout = json.loads((folder / "manifest.json").read_text())["layout"]
    parameters = dict(model.named_parameters())
    ordered = [
        parameters[f"base_model.model.{tensor['name']}.default.weight"] for tensor in layout
    ]
    names = [n for n, p in parameters.items() if p.requires_grad]
    assert len(names) == len(ordered)

    def vector(model):
        return torch.cat([p.detach().flatten() for p in ordered])

    initial = load_file(folder / "lora-init.safetensors")
    for tensor, p in zip(layout, ordered):
        key = next(k for k in initial if tensor["name"] in k)
        p.data.copy_(initial[key])
    rows, differing = [], 0
    for task in range(3):
        rows.append(json.loads((folder / f"samples-task{task}.json").read_text())["train"])
        trace = json.loads((folder / f"trace-task{task}.json").read_text())
        micro = [m for e in trace["events"] if e["kind"] == "inner" for m in e["micro"]]
        outer = [e["micro"][0] for e in trace["events"] if e["kind"] == "outer"]
        fusions = [e for e in trace["events"] if e["kind"] == "fusion"]
        dataset = [recorded_batch(rows, task, m) for m in micro]
        kif = Recorded([recorded_batch(rows, task, m) for m in outer])
        if task == 0:
            kif.memory = []
        vectors = load_file(folder / f"fusions-task{task}.safetensors") if fusions else {}
        deviations = []

        def after(step, model):
            if kif.memory and step % 8 == 0:
                number = step // 8 - 1
                fused = vectors[f"f{number:02d}.fused"]
                deviations.append((vector(model) - fused).norm() / fused.norm())
                event, ours = fusions[number], kif.last_fusion
                assert ours.inner_threshold == pytest.approx(event["thr_in"], rel=1e-3)
                assert ours.outer_threshold == pytest.approx(event["thr_out"], rel=1e-3)
                assert ours.counts.shared == event["n_both"]
                assert ours.counts.shared + ours.counts.new_only == event["n_in"]
                assert ours.counts.shared + ours.counts.old_only == event["n_out"]

        arguments = dict(
            per_device_train_batch_size=1,
            gradient_accumulation_steps=4,
            num_train_epochs=1,
            learning_rate=1e-3,
            warmup_steps=50,
            remove_unused_columns=False,
        )
        monkeypatch.setattr(f"{__name__}.collate", lambda batches: batches[0])
        train(tmp_path / str(task), model, dataset, [kif, After(after)], **arguments)
        assert len(deviations) == len(fusions)
        last = load_file(folder / f"lora-after-task{task}.safetensors")
        expected = torch.cat(
            [last[next(k for k in last if t["name"] in k)].flatten() for t in layout]
        )
        relative = ((vector(model) - expected).norm() / expected.norm()).item()
        print(f"\ntask {task}: {len(fusions)} fusions, {relative:.1e} away")
        assert relative < 1e-5
        assert all(d < 1e-5 for d in deviations)


# Against the method written out


def quantile(scores, q):
    ordered = scores.sort().values
    rank = torch.tensor(q, dtype=torch.float32) * (len(ordered) - 1)
    low, high = int(rank.floor()), int(rank.ceil())
    return torch.lerp(ordered[low], ordered[high], rank - low)


def written_out(model, rows, memory, draw, paper, Q, M, q):
    """Two epochs of micro-batches of 2, two to an update; every update clipped to 1."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-2, weight_decay=0)
    micro = [collate(rows[i : i + 2]) for i in range(0, len(rows), 2)] * 2
    updates, warmup, beta = len(micro) // 2, 3, 0.55 if paper else 0.85
    base = flat(model).clone()
    inner, outer = ([torch.zeros_like(base), torch.zeros_like(base)] for _ in range(2))

    def rate(s):
        share = s / warmup if s < warmup else max(0.0, (updates - s) / (updates - warmup))
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * share

    def update(batches, importance):
        for batch in batches:
            (model(**batch).loss / 2).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        g = torch.cat([p.grad.flatten() for p in parameters])
        s = (flat(model) * g).abs()
        importance[0] = beta * importance[0] + (1 - beta) * s
        importance[1] = beta * importance[1] + (1 - beta) * (s - importance[0]).abs()
        optimizer.zero_grad()

    def important(importance):
        score = importance[0] if paper else importance[0] * importance[1]
        return score > quantile(score, q)

    for s in range(updates):
        rate(s)
        update(micro[2 * s : 2 * s + 2], inner)
        if (s + 1) % Q == 0:
            rate(s + 1)
            snapshot = flat(model).clone()
            for repeat in range(M):
                update([draw(s + 1, repeat)], outer)
            new, old, w = important(inner), important(outer), flat(model)
            both, neither = ((1, 1), (0, 0)) if paper else ((0.4, 0.6), (0.5, 0.5))
            a = torch.where(new, torch.where(old, both[0], 1.0), torch.where(old, 0.0, neither[0]))
            b = torch.where(new, torch.where(old, both[1], 0.0), torch.where(old, 1.0, neither[1]))
            base = base + (a * (snapshot - base) + b * (w - snapshot))
            at = 0
            for p in parameters:
                p.data.copy_(base[at : at + p.numel()].view(p.shape))
                at += p.numel()
            inner = [torch.zeros_like(base), torch.zeros_like(base)]
    return flat(model)


@pytest.mark.parametrize("mode", ["reference", "paper"])
def test_the_method_written_out_gives_the_same(mode, tmp_path):
    settings = dict(mode=mode, cycle_length=3, outer_steps=2, quantile=0.7, memory_batch_size=3)
    rows, memory = samples(20, 1), samples(5, 2)
    kif = RecurrentKIFCallback(memory, **settings)
    model = t5()
    train(tmp_path, model, rows, [kif], weight_decay=0.0)
    expected = written_out(
        t5(),
        rows,
        memory,
        lambda *place: RecurrentKIFCallback(memory, **settings)._draw(*place, collate),
        mode == "paper",
        3,
        2,
        0.7,
    )
    assert kif.last_fusion.update == 9
    assert not torch.equal(expected, flat(t5()))
    torch.testing.assert_close(flat(model), expected, rtol=0, atol=2e-6)


def test_soft_weights_at_a_high_temperature_are_the_mean(tmp_path):
    half = (0.5, 0.5)
    mean = MergeRule(shared=half, new_only=half, old_only=half, redundant=half)
    ends = []
    for rule in (mean, MergeRule(soft_temperature=1e6), MergeRule(soft_temperature=0.1)):
        kif = RecurrentKIFCallback(samples(5, 2), cycle_length=4, merge=rule)
        model = t5()
        train(tmp_path, model, samples(20, 1), [kif])
        ends.append(flat(model))
    assert kif.last_fusion.counts is None
    least, greatest = kif.last_fusion.inner_threshold
    assert 0 <= least < greatest
    torch.testing.assert_close(ends[1], ends[0], rtol=0, atol=1e-6)
    assert (ends[2] - ends[0]).abs().max() > 1e-5


def test_the_first_task_is_plain_training_and_the_next_replays_what_it_kept(tmp_path):
    kif = RecurrentKIFCallback(cycle_length=4, memory_percent=30)
    model, plain = t5(), t5()
    train(tmp_path, model, samples(20, 1), [kif])
    train(tmp_path, plain, samples(20, 1), [])
    assert torch.equal(flat(model), flat(plain))
    assert (kif.tasks, len(kif.memory), kif.last_fusion) == (1, 6, None)
    assert len({tuple(sample["labels"]) for sample in kif.memory}) == 3
    train(tmp_path, model, samples(20, 2), [kif])
    assert (kif.tasks, len(kif.memory), kif.last_fusion.update) == (2, 12, 8)


def test_an_outer_loop_for_importance_only_leaves_the_optimizer_alone(tmp_path):
    kif = RecurrentKIFCallback(samples(5, 2), cycle_length=4, outer_loop="importance-only")
    all_in = MergeRule(shared=(1, 0), old_only=(1, 0), redundant=(1, 0))
    keeping = RecurrentKIFCallback(
        samples(5, 2), cycle_length=4, outer_loop="importance-only", merge=all_in
    )
    plain, model, merged = t5(), t5(), t5()
    train(tmp_path, plain, samples(20, 1), [])
    train(tmp_path, model, samples(20, 1), [kif])
    train(tmp_path, merged, samples(20, 1), [keeping])
    torch.testing.assert_close(flat(merged), flat(plain), rtol=0, atol=1e-6)
    assert not torch.allclose(flat(model), flat(plain), rtol=0, atol=1e-6)


@pytest.mark.parametrize("step", [4, 5])  # right after a fusion, and within a cycle
def test_a_resumed_run_ends_with_the_same_bits(step, tmp_path):
    saving = dict(save_strategy="steps", save_steps=step)
    whole, first = t5(dropout_rate=0.1), RecurrentKIFCallback(samples(5, 2), cycle_length=4)
    train(tmp_path, whole, samples(20, 1), [first], **saving)
    again, second = t5(dropout_rate=0.1), RecurrentKIFCallback(cycle_length=4)
    train(
        tmp_path, again, samples(20, 1), [second], str(tmp_path / f"checkpoint-{step}"), **saving
    )
    assert torch.equal(flat(whole), flat(again))
    assert second.last_fusion == first.last_fusion
    assert second.memory == first.memory


def test_a_checkpoint_without_our_state_or_of_another_model_is_refused(tmp_path):
    saving = dict(save_strategy="steps", save_steps=5)
    train(tmp_path, t5(), samples(20, 1), [RecurrentKIFCallback(samples(5, 2))], **saving)
    checkpoint = tmp_path / "checkpoint-5"
    state = checkpoint / "recurrent_kif.pt"
    whole = state.read_bytes()
    state.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="recurrent_kif.pt: expected what"):
        train(tmp_path, t5(), samples(20, 1), [RecurrentKIFCallback()], str(checkpoint), **saving)
    stored = torch.load(io.BytesIO(whole), weights_only=True)
    stored["layout"] = [(name + "x", shape) for name, shape in stored["layout"]]
    torch.save(stored, state)
    with pytest.raises(ValueError, match="other trainable parameters"):
        train(tmp_path, t5(), samples(20, 1), [RecurrentKIFCallback()], str(checkpoint), **saving)
    state.unlink()
    with pytest.raises(FileNotFoundError, match="was that checkpoint saved with this callback"):
        train(tmp_path, t5(), samples(20, 1), [RecurrentKIFCallback()], str(checkpoint), **saving)


def test_the_memory_goes_to_another_process_by_a_file(tmp_path):
    kif = RecurrentKIFCallback(memory_percent=50)
    train(tmp_path, t5(), samples(8, 1), [kif], num_train_epochs=1)
    kif.save_memory(tmp_path / "memory.pt")
    other = RecurrentKIFCallback()
    other.load_memory(tmp_path / "memory.pt")
    assert (other.memory, other.tasks) == (kif.memory, 1)


def test_any_adapter_and_any_precision_of_its_weights_is_merged(tmp_path):
    config = transformers.LlamaConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        pad_token_id=0,
    )
    torch.manual_seed(3)
    model = peft.get_peft_model(
        transformers.LlamaForCausalLM(config),
        peft.LoraConfig(
            r=2, target_modules=["k_proj", "down_proj"], modules_to_save=["lm_head"]
        ),
    )
    for p in model.parameters():
        if p.requires_grad and p.dim() == 2 and p.shape[0] == 2:
            p.data = p.data.to(torch.bfloat16).to(torch.float32)
    rows = [{**row, "labels": row["input_ids"]} for row in samples(8, 1)]
    kif = RecurrentKIFCallback(rows[:3], cycle_length=2)
    train(tmp_path, model, rows, [kif])
    counts = kif.last_fusion.counts
    assert sum(counts) == len(flat(model))


def test_a_gradient_that_is_no_number_is_refused_and_counted(tmp_path):
    def broken(model, batch):
        return model(**batch).loss * float("nan")

    kif = RecurrentKIFCallback(samples(5, 2), cycle_length=4, compute_loss=broken)
    model = t5()
    train(tmp_path, model, samples(20, 1), [kif])
    assert kif.refused == 8 and torch.isfinite(flat(model)).all()


def test_rows_of_the_memory_are_spread_over_classes():
    import random

    targets = ["a"] * 90 + ["b"] * 9 + ["c"]
    rows = memory_rows(targets, 12, random.Random(1))
    assert len(rows) == len(set(rows)) == 12
    drawn = [targets[row] for row in rows]
    assert drawn[:9] == ["a"] * 4 + ["b"] * 4 + ["c"]
    assert len(memory_rows(targets, 1, random.Random(1))) == 3  # one for each class, never fewer
    assert memory_rows(targets, 0, random.Random(1)) == []


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(fp16=True), "fp16"),
        (dict(deepspeed="zero2.json"), "DeepSpeed"),
        (dict(fsdp="full_shard"), "FSDP"),
        (dict(world_size=2), "2 processes"),
    ],
)
def test_what_hides_gradients_is_refused_before_training(changes, message):
    kif = RecurrentKIFCallback()
    arguments = type(
        "Arguments", (), {"fp16": False, "deepspeed": None, "fsdp": None, "world_size": 1, **changes}
    )
    with pytest.raises(NotImplementedError, match=message):
        kif.on_train_begin(arguments, None, None)


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(mode="papers"), "mode: expected one of reference, paper, found 'papers'"),
        (dict(outer_loop="none"), "outer_loop: expected one of"),
        (dict(cycle_length=0), "cycle_length"),
        (dict(quantile=1.5), "quantile"),
        (dict(memory_percent=-1), "memory_percent"),
        (dict(betas=(0.5, 2)), "betas"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        RecurrentKIFCallback(**settings)


def test_a_streamed_training_set_needs_a_memory_filled_by_hand(tmp_path):
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(samples(20, 1))

    with pytest.raises(ValueError, match="memory_percent=0"):
        train(
            tmp_path,
            t5(),
            Stream(),
            [RecurrentKIFCallback()],
            trainer=transformers.Trainer,
            max_steps=2,
        )
