"""Checkpoints that are handed over, scored or resumed."""

from pathlib import Path

import torch

from bad_inputs import Bad, fit, write

LAST = "pretraining/checkpoints/last.ckpt"
PRETRAINED = f"--model.pretrained.checkpoint {LAST}"
TEST = "test -c run/config.yaml"


def only(*parts: str):
    """Keep tensors whose names begin with one of these."""

    def make(folder: Path) -> None:
        content = torch.load(folder / LAST, weights_only=True)
        content["state_dict"] = {k: v for k, v in content["state_dict"].items() if k.startswith(parts)}
        torch.save(content, folder / LAST)

    return make


INPUTS = [
    Bad("checkpoint that is not there", fit("--model.pretrained.checkpoint absent.ckpt"), ("absent.ckpt: no such checkpoint",)),
    Bad("folder without a checkpoint", fit("--model.pretrained.checkpoint store"), ("store: no such checkpoint; give a folder with",)),
    Bad("empty checkpoint", fit(PRETRAINED), (f"{LAST}: not a checkpoint",), make=write(LAST, b"")),
    Bad("text for a checkpoint", fit(PRETRAINED), (f"{LAST}: not a checkpoint",), make=write(LAST, "not a zip")),
    Bad("checkpoint without encoder", fit(PRETRAINED), (f"{LAST}: holds no encoder",), make=only("head.")),
    Bad("checkpoint of an unfinished run", fit(PRETRAINED), ("pretraining", "not finished"), make=lambda folder: (folder / "pretraining/results.json").unlink()),
    Bad("run with a broken checkpoint", TEST, ("run/checkpoints/last.ckpt: not a checkpoint",), make=write("run/checkpoints/last.ckpt", b"x")),
    Bad("run without its checkpoint", TEST, ("run/checkpoints/last.ckpt: no such checkpoint",), make=lambda folder: (folder / "run/checkpoints/last.ckpt").unlink()),
    Bad("checkpoint to test that is not there", f"{TEST} --ckpt_path absent.ckpt", ("absent.ckpt: no such checkpoint",)),
]  # fmt: skip
