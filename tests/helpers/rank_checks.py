"""What each of several processes does in `test_distributed.py`; by a single process too, for comparison."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from pytorch_lightning import Trainer
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset

from sslmed.data.batches import Draw, EvenBatches
from sslmed.data.pretraining import PretrainingData
from sslmed.data.samples import collate
from sslmed.downstream import Classification
from sslmed.encoders import UNetEncoder
from sslmed.encoders.heads import linear_head
from sslmed.learning.augmentation import RandomAffine, RandomIntensity
from sslmed.learning.distributed import alone, gather, merge, rank, world_size
from sslmed.pretext import CPC, DINO, Exemplar, PretextTask, SimCLR, VICReg
from sslmed.training.callbacks import History
from sslmed.training.lightning_cli import main

CONTRASTIVE = ("exemplar", "cpc", "cpc-bce", "simclr", "vicreg", "dino")
UNCHANGED = {"affine": RandomAffine(flip=0), "intensity": RandomIntensity(probability=0)}


def run_all(store: Path, arguments: Sequence[str], folder: Path) -> dict[str, Any]:
    """All checks in one process start, which costs more than they do."""
    dist.init_process_group("gloo")
    found: dict[str, Any] = {"draws": draws(store)}
    for n_cases in (1, 2, 5):
        found[f"evaluation of {n_cases}"] = evaluate(n_cases)
    for name in CONTRASTIVE:
        for batch_size in (2, 4):
            found[f"{name} of {batch_size}"] = gradients(name, batch_size)
    found["made by one rank alone"] = made_by_one_rank_alone()
    fit_in_one_and_in_two_goes(arguments, folder)
    return found


def draws(store: Path) -> dict[str, Any]:
    """Splits and batches as a datamodule makes them; batches of 4."""
    data = PretrainingData(store, fold=1, n_folds=3, batch_size=4, updates=6, validations=2)
    return {
        "split": data.split,
        "cases": data.training_cases,
        "training": list(data.train_dataloader().batch_sampler or ()),
        "validation": list(data.val_dataloader().batch_sampler or ()),
    }


class Photographs(Dataset[dict[str, Any]]):
    """Random images with random grades."""

    def __init__(self, n_cases: int) -> None:
        generator = torch.Generator().manual_seed(1)
        self.images = torch.rand(n_cases, 1, 16, 16, generator=generator)
        self.labels = torch.randint(3, (n_cases,), generator=generator)

    def __getitem__(self, draw: Draw) -> dict[str, Any]:
        return {"case": f"case {draw.case}", "image": self.images[draw.case], "label": self.labels[draw.case]}


def _encoder() -> UNetEncoder:
    torch.manual_seed(0)
    return UNetEncoder(2, 1, widths=(4, 8), dropout=0.0)


def evaluate(n_cases: int) -> dict[str, Any]:
    """Validate and test on batches of 2 or, where cases are odd, 3 cases."""
    loader: DataLoader[Any] = DataLoader(
        Photographs(n_cases), batch_sampler=EvenBatches(n_cases, 2), collate_fn=collate
    )
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}

    def trainer() -> Trainer:
        options = {"use_distributed_sampler": False, "enable_model_summary": False}
        return Trainer(accelerator="cpu", devices=world_size(), **options, **silent)

    grader = Classification(_encoder(), num_classes=3)
    tasks = [grader] if n_cases == 1 else [grader, Exemplar(_encoder()), CPC(_encoder(), grid=3, skip_rows=0)]
    logged = [trainer().validate(task, loader, verbose=False)[0] for task in tasks]
    trainer().test(grader, loader, verbose=False)
    return {"logged": logged, "rows": sorted(grader.test_rows, key=lambda row: row["case"])}


class Loss(nn.Module):
    """A pretext task's loss, as what DDP wraps."""

    def __init__(self, task: PretextTask[None]) -> None:
        super().__init__()
        self.task = task

    def forward(self, inputs: Tensor) -> Tensor:
        return self.task.loss(self.task(inputs), None)


def contrastive_task(name: str) -> PretextTask[None]:
    """In training mode, but for batch normalisation, which on CPUs knows its own share alone."""
    task: PretextTask[None]
    if name == "exemplar":
        task = Exemplar(_encoder(), margin=1.0, **UNCHANGED)
    elif name in ("simclr", "vicreg"):
        task = (SimCLR if name == "simclr" else VICReg)(_encoder(), head=linear_head)
    elif name == "dino":
        task = DINO(_encoder(), prototypes=8, embedding_size=8, head=linear_head)
    else:
        objective = "bce" if name == "cpc-bce" else "infonce"
        task = CPC(_encoder(), grid=3, skip_rows=0, image_fraction=1, patch_fraction=1, flip=0, objective=objective)
    for module in task.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    return task


def gradients(name: str, batch_size: int) -> dict[str, Any]:
    """Loss, gradients and buffers of this rank's share of a batch, with all negatives that 20 draws give."""
    task = contrastive_task(name)
    images = torch.rand(batch_size, 1, 18, 18, generator=torch.Generator().manual_seed(2))
    share = images.chunk(world_size())[rank()]
    torch.manual_seed(rank())
    drawn = [task.make_task(share)[0] for _ in range(20)]
    averaging = DistributedDataParallel(Loss(task))  # as long as it lives
    loss = averaging(drawn[0])
    loss.backward()
    return {
        "inputs": [inputs.numpy() for inputs in drawn],
        "loss": loss.item(),
        "gradients": [parameter.grad.numpy() for parameter in task.parameters() if parameter.grad is not None],
        "buffers": [buffer.numpy() for buffer in task.buffers()],
    }


def made_by_one_rank_alone() -> dict[str, Any]:
    """The first rank makes puzzles in training mode while the second waits, then both exchange their numbers."""
    if rank() == 0:
        with alone():
            Exemplar(_encoder()).make_task(torch.rand(3, 1, 18, 18))
            assert merge({"a": 1}) == {"a": 1}
    return {"exchanged": gather(torch.tensor([rank()])).tolist(), "merged": merge({rank(): rank()})}


def fit_in_one_and_in_two_goes(arguments: Sequence[str], folder: Path) -> None:
    """Fit into `folder/whole`, mirrored to W&B by the first rank; and into `folder/halves`, resumed after a failure."""
    main(["fit", *arguments, "--run_dir", str(folder / "whole"), "--wandb", "offline"])
    halves = ["fit", *arguments, "--run_dir", str(folder / "halves")]
    record = History.on_train_epoch_end

    def stop_in_second_stretch(self: History, trainer: Any, module: Any) -> None:
        if trainer.global_step > 2:
            raise RuntimeError("killed")
        record(self, trainer, module)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(History, "on_train_epoch_end", stop_in_second_stretch)
        with pytest.raises(RuntimeError, match="killed"):
            main(halves)
    main(halves)
