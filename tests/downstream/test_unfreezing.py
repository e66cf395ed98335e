import families
import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from sslmed.core.errors import InputError
from sslmed.downstream import Classification
from sslmed.downstream.base import Pretrained
from sslmed.downstream.unfreezing import count_frozen, stages
from sslmed.encoders import UNetEncoder
from sslmed.learning.optimization import Optimization, learning_rate_factor
from sslmed.pretext import Rotation


@pytest.mark.parametrize("name", families.ENCODERS)
def test_stages_hold_every_parameter_once_in_the_order_of_the_data(name):
    encoder = families.ENCODERS[name](2, 1)
    of_stages = [id(each) for stage in stages(encoder) for each in stage.parameters()]
    assert of_stages == [id(each) for each in encoder.parameters()]
    assert len(stages(encoder)) >= len(encoder.out_channels)


def test_a_unets_stages_are_its_blocks():
    encoder = UNetEncoder(2, 1, widths=(2, 3, 4))
    assert stages(encoder) == [*encoder.blocks]


def test_stages_are_unfrozen_one_by_one_in_equal_steps():
    frozen = [count_frozen(4, update / 100, 0.1, 0.6) for update in range(101)]
    assert frozen[:10] == [4] * 10
    assert frozen == sorted(frozen, reverse=True)
    assert [frozen.index(number) for number in (3, 2, 1, 0)] == [10, 30, 50, 70]
    assert [count_frozen(4, progress, 0.5, 0.0) for progress in (0, 0.49, 0.5, 1)] == [4, 4, 0, 0]
    assert count_frozen(4, 0.999, 1.0, 0.0) == 4


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": Rotation(_encoder()).state_dict()}, path)
    return path


def _encoder() -> UNetEncoder:
    return UNetEncoder(2, 1, widths=(2, 3, 4), dropout=0.0)


def _fit(task: Classification, updates: int) -> list[list[bool]]:
    """Train, and return for each update which blocks of the encoder it has changed, statistics included."""
    seen = []

    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            self.before = [[each.clone() for each in block.state_dict().values()] for block in module.encoder.blocks]

        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            blocks = [[*block.state_dict().values()] for block in module.encoder.blocks]
            pairs = zip(self.before, blocks, strict=True)
            seen.append([not all(map(torch.equal, before, after)) for before, after in pairs])

    _train(task, updates, Watch())
    return seen


def _train(task: Classification, updates: int, callback: pl.Callback) -> None:
    batch = {"image": torch.rand(1, 16, 16), "label": 0, "case": "a"}
    loader = DataLoader([batch, batch | {"label": 1}] * updates, batch_size=2)
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", enable_model_summary=False, callbacks=[callback], **silent)
    trainer.fit(task, loader)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_gradual_unfreezing_trains_the_coarsest_stage_first_and_leaves_frozen_ones_untouched(checkpoint):
    pretrained = Pretrained(checkpoint, frozen_fraction=0.2, unfreezing_fraction=0.4)
    constant = Optimization(schedule="constant")
    changed = _fit(Classification(_encoder(), num_classes=2, pretrained=pretrained, optimization=constant), 10)
    expected = [[False] * 3] * 2 + [[False, False, True]] * 2 + [[False, True, True]] * 2 + [[True] * 3] * 4
    assert changed == expected
    random = Pretrained(None, frozen_fraction=0.2, unfreezing_fraction=0.4)
    task = Classification(_encoder(), num_classes=2, pretrained=random, optimization=constant)
    assert _fit(task, 3) == [[True] * 3] * 3  # random weights are never frozen


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_frozen_encoder_stays_as_it_was_pretrained(checkpoint):
    pretrained = Pretrained(checkpoint, frozen_fraction=1.0)
    assert _fit(Classification(_encoder(), num_classes=2, pretrained=pretrained), 3) == [[False] * 3] * 3


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_probe_of_a_random_encoder_trains_the_head_alone():
    task = Classification(_encoder(), num_classes=2, pretrained=Pretrained(None, frozen_fraction=1.0))
    before = [each.clone() for each in task.head.parameters()]
    assert _fit(task, 3) == [[False] * 3] * 3
    assert not any(map(torch.equal, before, task.head.parameters()))


def test_each_stage_of_a_loaded_encoder_has_its_own_learning_rate(checkpoint):
    def rates(pretrained: Pretrained) -> dict[str, float]:
        task = Classification(
            _encoder(), num_classes=2, pretrained=pretrained, optimization=Optimization(schedule="constant")
        )
        optimizer = task.configure_optimizers()["optimizer"]
        assert sum(len(group["params"]) for group in optimizer.param_groups) == len([*task.parameters()])
        of = {id(each): group["lr"] for group in optimizer.param_groups for each in group["params"]}
        return {name: of[id(each)] for name, each in task.named_parameters()}

    decayed = rates(Pretrained(checkpoint, layer_decay=0.5))
    for name, rate in decayed.items():
        power = 3 - int(name.split(".")[2]) if name.startswith("encoder.blocks.") else 0
        assert rate == pytest.approx(1e-3 * 0.5**power)
    assert set(rates(Pretrained(None, layer_decay=0.5)).values()) == {1e-3}
    assert set(rates(Pretrained(checkpoint)).values()) == {1e-3}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("schedule", ["one_cycle", "sawtooth"])
def test_learning_rates_follow_the_schedule_during_training(checkpoint, schedule):
    rates = []

    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            rates.append([group["lr"] for group in trainer.optimizers[0].param_groups])

    pretrained = Pretrained(checkpoint, frozen_fraction=0.4, layer_decay=0.5)
    optimization = Optimization(schedule=schedule)
    _train(Classification(_encoder(), num_classes=2, pretrained=pretrained, optimization=optimization), 10, Watch())
    factors = [learning_rate_factor(schedule, update / 10, frozen_fraction=0.4) for update in range(10)]
    assert len(set(factors)) > 5
    for of_update, factor in zip(rates, factors, strict=True):
        assert sorted(of_update) == pytest.approx([1e-3 * factor * 0.5**power for power in (3, 2, 1, 0)])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"frozen_fraction": 0.7, "unfreezing_fraction": 0.4}, "at most 1 together"),
        ({"frozen_fraction": -0.1}, "must be 0 or more"),
        ({"layer_decay": 0.0}, "layer_decay must be"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        Pretrained(**arguments)
