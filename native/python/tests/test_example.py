"""The example, as a user starts it, on the model that the repository carries."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("transformers")
pytest.importorskip("peft")

REPOSITORY = Path(__file__).resolve().parents[3]


def test_the_example_teaches_two_tasks(tmp_path):
    (tmp_path / "train").mkdir()
    for task, answers in (("colour", ["red", "blue"]), ("size", ["big", "small"])):
        rows = [{"input": f"which {task} has {i} ?", "output": answers[i % 2]} for i in range(60)]
        (tmp_path / f"train/{task}.json").write_text(json.dumps(rows))
    command = [sys.executable, str(REPOSITORY / "native/python/examples/continual.py")]
    command += ["--model", str(REPOSITORY / "models/tiny-t5"), "--data", str(tmp_path)]
    command += ["--tasks", "colour,size", "--steps", "9", "--output", str(tmp_path / "output")]
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
    assert run.returncode == 0, run.stderr
    assert "colour: 2 samples in the memory, last fusion None" in run.stdout
    assert "size: 4 samples in the memory, last fusion Fusion(update=8" in run.stdout
    assert (tmp_path / "output/adapter/adapter_model.safetensors").is_file()
