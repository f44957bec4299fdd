"""What RecurrentKIFCallback costs of a training step of the shape of T5-small.

    PYTHONPATH=... python bench/python/callback_overhead.py [--cycles N] [--threads N]

Trains a T5 of random weights (LoRA of rank 8 on q and v, batches of 8 rows of 96 and 8 tokens) with
the Trainer of the Transformers library and takes the processor time of every call of the callback,
without the forward and backward passes and optimizer steps of the outer loop, which are the method's
and not its bookkeeping. Told are the medians over cycles of the callback's own time and of that of
the updates, and the one as a share of the other.
"""

import argparse
import json
import os
import statistics
import tempfile
import time

import torch
import transformers
from peft import LoraConfig, get_peft_model

from recurrent_kif import RecurrentKIFCallback

CYCLE = 8


class Measured(RecurrentKIFCallback):
    def __init__(self, memory):
        super().__init__(memory, cycle_length=CYCLE, memory_percent=0)
        self.own = 0.0
        self.cycles = []

    def on_train_begin(self, *arguments, **named):
        super().on_train_begin(*arguments, **named)
        self.begin = time.process_time()

    def on_optimizer_step(self, *arguments, **named):
        start = time.process_time()
        super().on_optimizer_step(*arguments, **named)
        self.own += time.process_time() - start

    def on_step_end(self, args, state, control, **named):
        start = time.process_time()
        self.replayed = 0.0
        super().on_step_end(args, state, control, **named)
        end = time.process_time()
        self.own += end - start - self.replayed
        if state.global_step % CYCLE == 0:
            self.cycles.append((self.own, start - self.begin))
            self.own, self.begin = 0.0, end

    def _replay(self, *arguments):
        start = time.process_time()
        observe = self._knowledge.observe
        inside = 0.0

        def timed(*named):
            nonlocal inside
            begin = time.process_time()
            observe(*named)
            inside += time.process_time() - begin

        self._knowledge.observe = timed
        super()._replay(*arguments)
        self._knowledge.observe = observe
        self.replayed += time.process_time() - start - inside


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cycles", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    config = transformers.T5Config(
        vocab_size=32128, d_model=512, d_kv=64, d_ff=2048, num_layers=6, num_heads=8,
        decoder_start_token_id=0,
    )
    model = get_peft_model(
        transformers.T5ForConditionalGeneration(config),
        LoraConfig(r=8, lora_alpha=32, lora_dropout=0.05, target_modules=["q", "v"]),
    )
    rows = [
        {
            "input_ids": torch.randint(2, 32000, (96,)).tolist(),
            "labels": torch.randint(2, 32000, (8,)).tolist(),
        }
        for _ in range(64)
    ]
    kif = Measured(rows[:20])
    with tempfile.TemporaryDirectory() as folder:
        trainer = transformers.Trainer(
            model=model,
            args=transformers.TrainingArguments(
                output_dir=folder,
                per_device_train_batch_size=8,
                max_steps=CYCLE * arguments.cycles,
                learning_rate=3e-4,
                save_strategy="no",
                logging_strategy="no",
                report_to=[],
                disable_tqdm=True,
            ),
            train_dataset=rows,
            data_collator=lambda batch: {
                name: torch.tensor([row[name] for row in batch]) for name in ("input_ids", "labels")
            },
            callbacks=[kif],
        )
        trainer.train()
    own, updates = (statistics.median(values) for values in zip(*kif.cycles))
    print(
        json.dumps(
            {
                "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
                "threads": arguments.threads,
                "torch": torch.__version__,
                "cycles": len(kif.cycles),
                "callback_ms_per_update": 1e3 * own / CYCLE,
                "update_ms": 1e3 * updates / CYCLE,
                "share_percent": 100 * own / updates,
                "load": os.getloadavg()[0],
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
