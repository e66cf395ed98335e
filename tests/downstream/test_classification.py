from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_lightning import Trainer
from torch.utils.data import DataLoader

from sslmed.core.errors import InputError
from sslmed.downstream import Classification
from sslmed.encoders import UNetEncoder
from sslmed.evaluation.metrics import summarise
from sslmed.learning.optimization import Optimization

OBJECTIVES = ("cross_entropy", "ordinal")


def _task(dims: int = 2, **options: Any) -> Classification:
    torch.manual_seed(0)
    return Classification(UNetEncoder(dims, 3, (4, 8), dropout=0.0), **options)


def _loader(batches: Sequence[dict[str, Any]]) -> DataLoader[Any]:
    return DataLoader(batches, batch_size=None, collate_fn=dict)  # type: ignore[arg-type]


def _batches(sizes: tuple[int, ...], num_classes: int = 5) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(1)
    return [
        {
            "case": [f"case{batch}{i}" for i in range(size)],
            "image": torch.rand(size, 3, 8, 6, generator=generator).half(),
            "label": torch.randint(num_classes, (size,), generator=generator),
        }
        for batch, size in enumerate(sizes)
    ]


def _make_answers_vary(task: Classification, batches: list[dict[str, Any]]) -> list[int]:
    """Centre and scale the logits over all cases, and return the answers."""
    last: torch.nn.Linear = task.head.layers[-1]  # type: ignore[assignment]
    with torch.no_grad():
        last.bias -= torch.cat([task(batch["image"].float()) for batch in batches]).mean(0)
        last.weight *= 100
        last.bias *= 100
        answers = [row["prediction"] for batch in batches for row in task.predict_step(batch, 0)]
    assert len(set(answers)) > 1
    return answers


def _trainer(**options: Any) -> Trainer:
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return Trainer(accelerator="cpu", enable_model_summary=False, **silent, **options)


def _kappa(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Cohen 1968: 1 − (mean squared difference) / (mean over all pairs of a truth and a prediction)."""
    return 1 - np.mean((truth - prediction) ** 2) / np.mean((truth[:, None] - prediction) ** 2)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("objective", "outputs"), [("cross_entropy", 4), ("ordinal", 3)])
def test_outputs_by_objective_and_images_of_any_size(dims: int, objective: str, outputs: int) -> None:
    task = _task(dims, num_classes=4, objective=objective)
    assert task(torch.rand(2, 3, *(8, 6, 7)[:dims])).shape == (2, outputs)


def test_one_class_is_refused() -> None:
    with pytest.raises(InputError, match="at least 2 classes, got 1"):
        _task(num_classes=1)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_validation_scores_the_whole_set_not_the_mean_of_its_batches(objective: str) -> None:
    task, batches = _task(objective=objective).eval(), _batches((7, 7, 3))
    prediction = np.array(_make_answers_vary(task, batches))
    truth = torch.cat([batch["label"] for batch in batches]).numpy()
    for n_batches, n in ((3, 17), (2, 14)):  # nothing of the first pass is left in the second
        (logged,) = _trainer().validate(task, _loader(batches[:n_batches]), verbose=False)
        assert logged["val/qwk"] == pytest.approx(_kappa(truth[:n], prediction[:n]), abs=1e-6)
        assert logged["val/accuracy"] == pytest.approx((truth[:n] == prediction[:n]).mean())
    assert not [key for key in task.state_dict() if "scores" in key]


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_a_validation_set_of_one_class_and_one_answer_has_kappa_0() -> None:
    task, batches = _task().eval(), _batches((2, 3))
    task.head.layers[-1].weight.data.zero_()
    for batch in batches:
        batch["label"][:] = task.predict_step(batch, 0)[0]["prediction"]
    (logged,) = _trainer().validate(task, _loader(batches), verbose=False)
    assert logged["val/qwk"] == 0
    assert logged["val/accuracy"] == 1


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_rows_of_test_cases_and_the_table_of_predictions(objective: str, tmp_path: Path) -> None:
    task, batches = _task(objective=objective).eval(), _batches((3, 2))
    answers = _make_answers_vary(task, batches)
    writer = task.prediction_writer(tmp_path / "run")
    trainer = _trainer(callbacks=[writer])
    for _ in range(2):  # a second run does not add to the first
        trainer.test(task, _loader(batches), verbose=False)
    rows = pd.DataFrame(task.test_rows)
    probabilities = [f"probability_{i}" for i in range(5)]
    assert list(rows) == ["case", "truth", "prediction", *probabilities]
    assert list(rows["case"]) == [case for batch in batches for case in batch["case"]]
    assert list(rows["truth"]) == torch.cat([batch["label"] for batch in batches]).tolist()
    assert list(rows["prediction"]) == answers
    assert rows[probabilities].sum(axis=1).to_numpy() == pytest.approx(1)
    assert set(summarise(rows, task.kind)) == {"qwk", "accuracy", "auroc"}
    trainer.predict(task, _loader(batches[::-1]), return_predictions=False)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "run" / "predictions.csv"), rows.drop(columns="truth"))
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["predictions.csv"]


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*log_every_n_steps")
def test_training_learns_grades_that_follow_brightness(objective: str) -> None:
    grades = torch.arange(5).repeat(4)
    images = (grades / 5 + 0.1)[:, None, None, None] + 0.05 * torch.rand(20, 3, 8, 8)
    batch = {"case": [str(i) for i in range(20)], "image": images.half(), "label": grades}
    task = _task(
        objective=objective, optimization=Optimization(lambda parameters: torch.optim.AdamW(parameters, lr=3e-2))
    )
    trainer = _trainer(max_epochs=60, limit_val_batches=1, check_val_every_n_epoch=60, num_sanity_val_steps=0)
    trainer.fit(task, _loader([batch]), _loader([batch]))
    assert trainer.callback_metrics["val/qwk"] > 0.9
    assert trainer.callback_metrics["train/loss"] < 0.5
