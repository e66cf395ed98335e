from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from outside import Inpainting

from sslmed.core.errors import InputError
from sslmed.downstream import Classification, Segmentation
from sslmed.downstream.base import Pretrained
from sslmed.encoders import UNetEncoder
from sslmed.encoders.decoder import UNetDecoder


def _task(dims: int = 3, **options: object) -> Segmentation:
    torch.manual_seed(0)
    encoder = UNetEncoder(dims, 1, (4, 8, 8), dropout=0.0)
    return Segmentation(encoder, label_values=(0, 1, 2), dropout=0.0, **options)


@pytest.mark.parametrize("dims", [2, 3])
def test_logits_have_the_images_size_whatever_it_is(dims: int) -> None:
    task = _task(dims)
    for sides in ((8, 12, 4), (9, 10, 7)):
        assert task(torch.rand(2, 1, *sides[:dims])).shape == (2, 3, *sides[:dims])


def test_the_paper_network_has_its_published_number_of_parameters() -> None:
    # Convolutions by hand: 27 ab + b weights each, two per level, both ways; transposed 8 ab + b; batch norms 2 b each.
    widths = (16, 32, 64, 128, 256)
    block = lambda a, b: 27 * a * b + b + 27 * b * b + b + 4 * b  # noqa: E731
    down = sum(block(a, b) for a, b in zip((1, *widths), widths, strict=False))
    up = sum(8 * b * a + a + block(2 * a, a) for a, b in pairwise(widths))
    encoder = UNetEncoder()
    network = torch.nn.ModuleList([encoder, UNetDecoder(encoder, 3)])
    assert sum(p.numel() for p in network.parameters()) == down + up + 16 * 3 + 3


def test_what_is_said_of_dropout_and_norms_is_the_decoders() -> None:
    encoder = UNetEncoder(3, 1, (4, 8), dropout=0.0)
    modules = [*Segmentation(encoder, dropout=0.3, norm_momentum=0.02, norm_eps=1e-2).decoder.modules()]
    assert {each.p for each in modules if isinstance(each, torch.nn.Dropout)} == {0.3}
    norms = [each for each in modules if isinstance(each, torch.nn.BatchNorm3d)]
    assert {(each.momentum, each.eps) for each in norms} == {(0.02, 1e-2)}


def test_the_default_loss_is_dice_plus_cross_entropy(device: torch.device) -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(2, 3, 2, 3, 4))
    labels = generator.integers(0, 3, size=(2, 1, 2, 3, 4))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    one_hot = np.moveaxis(np.eye(3)[labels[:, 0]], -1, 1)
    space = (2, 3, 4)
    overlap = (probabilities * one_hot).sum(space)
    dice = 1 - (2 * overlap + 1e-5) / (probabilities.sum(space) + one_hot.sum(space) + 1e-5)
    cross_entropy = -np.log((probabilities * one_hot).sum(1)).mean()
    loss = _task().segmentation_loss(torch.tensor(logits, device=device), torch.tensor(labels, device=device))
    assert loss.item() == pytest.approx(dice.mean() + cross_entropy, abs=1e-6)


def test_augmentation_moves_image_and_label_alike(device: torch.device) -> None:
    from sslmed.learning.augmentation import RandomAffine, RandomIntensity

    task = _task(affine=RandomAffine(flip=0.5, quarter_turns=1.0), intensity=RandomIntensity(probability=0.0))
    labels = torch.randint(0, 3, (4, 1, 8, 8, 8), dtype=torch.uint8, device=device)
    images, moved = task.augment(labels.float() / 2, labels)
    assert not torch.equal(moved, labels)
    assert torch.allclose(images * 2, moved.float(), atol=1e-3)


@pytest.mark.parametrize("crop_size", [None, (8, 4)])
def test_a_2d_network_predicts_a_volume_slice_by_slice(crop_size: tuple[int, int] | None) -> None:
    task = _task(2, crop_size=crop_size).eval()
    volumes = torch.rand(2, 1, 12, 8, 5)
    with torch.no_grad():
        maps = task.infer(volumes)
        assert maps.shape == (2, 3, 12, 8, 5)
        for i, k in np.ndindex(2, 5):
            by_hand = task.infer(volumes[i : i + 1, ..., k])[0]
            assert torch.allclose(maps[i, ..., k], by_hand, atol=1e-5)
        assert not torch.allclose(maps[0, ..., 0], maps[1, ..., 0], atol=1e-3)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_regions_are_scored_in_validation_and_test(dims: int) -> None:
    from pytorch_lightning import Trainer
    from torch.utils.data import DataLoader

    class Identity:
        """Gives class scores as they are, where a geometry would map them to another grid."""

        original_spacing = None if dims == 2 else (1.0, 1.0, 2.0)

        def restore_scores(self, scores: np.ndarray) -> np.ndarray:
            return scores.argmax(0)

    regions = {"wt": (1, 2), "et": (2,)}
    task = _task(dims, regions=regions)
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (3, 8, 4, 4), generator=generator, dtype=torch.uint8)
    images = (labels[:, None] + torch.rand(labels[:, None].shape, generator=generator)).half()
    batches = [
        {
            "case": [str(i) for i in cases],
            "image": images[cases],
            "label": labels[cases],
            "geometry": [Identity() for _ in cases],
            "native_label": list(labels[cases].numpy()),
        }
        for cases in ([0, 1], [2])
    ]
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(accelerator="cpu", enable_model_summary=False, **silent)
    (logged,) = trainer.validate(task, DataLoader(batches, batch_size=None, collate_fn=dict), verbose=False)
    trainer.test(task, DataLoader(batches, batch_size=None, collate_fn=dict), verbose=False)
    with torch.no_grad():
        predictions = task.eval().infer(images.float()).argmax(1)
    for region, classes in regions.items():
        inside, true = (np.isin(maps.numpy(), classes).reshape(3, -1) for maps in (predictions, labels))
        scores = 2 * (inside & true).sum(1) / (inside.sum(1) + true.sum(1))
        assert [row[f"dice_{region}"] for row in task.test_rows] == pytest.approx(list(scores))
        assert logged[f"val/dice_{region}"] == pytest.approx(scores.mean())
    assert 0 < scores.mean() < 1
    # A photograph's pixels have no size in mm.
    surfaces = {"nsd_foreground", "nsd_class_2", "hd95_foreground", "hd95_class_2"}
    assert all(row.keys() & surfaces == (set() if dims == 2 else surfaces) for row in task.test_rows)


@pytest.mark.parametrize("classes", [(), (0, 1), (1, 4)])
def test_a_region_must_be_made_of_foreground_classes(classes: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"region 'tc' is classes \[.*\], expected some of 1 to 2"):
        _task(regions={"tc": classes})


def test_it_overfits_one_batch(device: torch.device) -> None:
    task = _task().train().to(device)
    generator = torch.Generator().manual_seed(1)
    labels = torch.zeros(2, 1, 8, 8, 8, dtype=torch.uint8)
    labels[:, :, 2:6, 2:6, 1:4], labels[:, :, 2:6, 2:6, 4:7] = 1, 2
    images = (labels / 2 + 0.1 * torch.rand(labels.shape, generator=generator)).to(device)
    labels = labels.to(device)
    optimizer = torch.optim.AdamW(task.parameters(), lr=1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        loss = task.segmentation_loss(task(images), labels)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2
    assert (task(images).argmax(1) == labels[:, 0]).float().mean() > 0.98


def test_it_starts_from_the_encoder_or_from_the_decoder_too(tmp_path: Path) -> None:
    pretraining = Inpainting(UNetEncoder(3, 1, (4, 8, 8), dropout=0.0))
    source = pretraining.state_dict()
    torch.save({"state_dict": source}, tmp_path / "last.ckpt")
    for load in ("encoder", "all"):
        scratch = _task().state_dict()
        started = _task(pretrained=Pretrained(tmp_path / "last.ckpt", load)).state_dict()
        for key, value in started.items():
            loaded = key.startswith("encoder.") or (
                load == "all" and key.startswith("decoder.") and not key.startswith("decoder.output.")
            )
            assert torch.equal(value, source[key] if loaded else scratch[key])
    with pytest.raises(InputError, match="Classification has no decoder to load"):
        Classification(UNetEncoder(2, 1, (4, 8)), pretrained=Pretrained(load="all"))
