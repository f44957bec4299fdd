"""Writes a benchmark's folder anew with samples of its training files held out as test files.

    python models/recipes/hold_out.py DATA OUTPUT [SAMPLES]

To choose settings on: neither development nor test files are read. The last SAMPLES (100) of each
DATA/train/*.json become OUTPUT/test/*.json, the others OUTPUT/train/*.json.
"""

import json
import pathlib
import sys


def main(data, output, samples=100):
    for file in sorted(pathlib.Path(data, "train").glob("*.json")):
        records = json.loads(file.read_text(encoding="utf-8"))
        held_out = int(samples)
        if len(records) <= held_out:
            raise SystemExit(f"{file}: has {len(records)} samples, more than {held_out} expected")
        for split, part in (("train", records[:-held_out]), ("test", records[-held_out:])):
            target = pathlib.Path(output, split, file.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(json.dumps(part, indent=1, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
