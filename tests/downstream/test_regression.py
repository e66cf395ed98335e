"""Regression learns standardised values, answers in their unit, and is told nothing but the labels in use."""

import numpy as np
import pytest
import torch
from generated_tables import write_table

from sslmed.core.errors import UserError
from sslmed.data.finetuning import ClassificationData, RegressionData
from sslmed.downstream import Regression
from sslmed.encoders import UNetEncoder
from sslmed.preparation.prepare import prepare
from sslmed.preparation.settings import PrepareSettings


@pytest.fixture
def store(tmp_path):
    data = write_table(tmp_path / "mine", 2, ["value"], cases=30)
    return prepare(data, tmp_path / "store", PrepareSettings(size=8), jobs=1)


def task(**options):
    return Regression(UNetEncoder(2, 3, widths=(4, 8), dropout=0.0), **options)


def test_targets_are_standardised_by_the_labels_in_use(store):
    data = RegressionData(store=store.root, label_fraction=0.3, updates=10)
    values = [store.value(case) for case in data.training_cases]
    assert len(values) == data.n_labels < len(data.split.train)
    assert (data.target_mean, data.target_scale) == pytest.approx((np.mean(values), np.std(values)))
    batch = next(iter(data.train_dataloader()))
    assert batch["label"].dtype == torch.float32
    assert set(batch["label"].tolist()) <= {np.float32(value) for value in values}


@pytest.mark.parametrize("loss", ["mse", "l1"])
def test_the_loss_is_of_standardised_values_and_answers_are_in_the_unit(loss):
    model = task(target_mean=50.0, target_scale=10.0, loss=loss).eval()
    batch = {"case": ["a", "b"], "image": torch.rand(2, 3, 8, 8), "label": torch.tensor([40.0, 75.0])}
    with torch.no_grad():
        standardised = model(batch["image"]).numpy()
        rows = model.predict_step(batch, 0)
        found = float(model.training_step(batch, 0))
    errors = standardised - np.array([-1.0, 2.5])
    assert found == pytest.approx(np.mean(errors**2 if loss == "mse" else np.abs(errors)), rel=1e-5)
    np.testing.assert_allclose([row["prediction"] for row in rows], 50 + 10 * standardised, rtol=1e-5)


def test_a_checkpoint_keeps_the_unit():
    other = task()
    other.load_state_dict(task(target_mean=50.0, target_scale=10.0).state_dict())
    assert (float(other.target_mean), float(other.target_scale)) == (50, 10)


def test_classes_are_no_values(store):
    with pytest.raises(UserError, match="it holds values: use RegressionData"):
        ClassificationData(store=store.root, updates=10)
