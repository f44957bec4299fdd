"""Teaches a model several tasks in a row with the Transformers library, PEFT and Recurrent-KIF.

    python continual.py --model DIR --data DIR --tasks dbpedia,amazon --output DIR

DIR of --data holds train/TASK.json: a list of {"input": ..., "output": ...}. The three lines that
make it Recurrent-KIF are marked. For real runs leave the defaults of --steps (ten epochs).
"""

import argparse
import json
from pathlib import Path

from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Trainer,
    TrainingArguments,
)

from recurrent_kif import RecurrentKIFCallback  # 1

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--model", required=True)
parser.add_argument("--data", type=Path, required=True)
parser.add_argument("--tasks", required=True)
parser.add_argument("--output", type=Path, required=True)
parser.add_argument("--steps", type=int, default=-1, help="updates of a task, instead of 10 epochs")
arguments = parser.parse_args()

tokenizer = AutoTokenizer.from_pretrained(arguments.model)
model = get_peft_model(
    AutoModelForSeq2SeqLM.from_pretrained(arguments.model),
    LoraConfig(r=8, lora_alpha=32, lora_dropout=0.05, target_modules=["q", "v"]),
)
kif = RecurrentKIFCallback(cycle_length=8, outer_steps=4)  # 2

for task in arguments.tasks.split(","):
    rows = json.loads((arguments.data / "train" / f"{task}.json").read_text())
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(arguments.output / task),
            per_device_train_batch_size=2,
            gradient_accumulation_steps=4,
            num_train_epochs=10,
            max_steps=arguments.steps,
            learning_rate=3e-4,
            warmup_steps=50,
            save_strategy="no",
            report_to=[],
        ),
        train_dataset=[
            dict(tokenizer(row["input"], text_target=row["output"], truncation=True)) for row in rows
        ],
        data_collator=DataCollatorForSeq2Seq(tokenizer, model),
        callbacks=[kif],  # 3
    )
    trainer.train()
    print(f"{task}: {len(kif.memory)} samples in the memory, last fusion {kif.last_fusion}")

model.save_pretrained(arguments.output / "adapter")
