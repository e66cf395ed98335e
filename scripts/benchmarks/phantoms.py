"""Data for measurements: a phantom, generated once, and datasets and stores with any number of copies of it."""

import json
import os
import shutil
from pathlib import Path

from sslmed.phantoms import KINDS
from sslmed.preparation.prepare import prepare
from sslmed.preparation.settings import PrepareSettings
from sslmed.preparation.store import Store


def draw(folder: Path, size: tuple[int, int, int], cases: int = 1) -> Path:
    """Generate labelled abdominal CTs in the layout of MSD."""
    KINDS["pancreas"](folder, cases=cases, unlabelled=0, size=size)
    return folder


def prepared(folder: Path, side: int) -> Store:
    """A store of one small case, resized to a cube."""
    return prepare(draw(folder / "phantom", (64, 64, 32)), folder / f"store-{side}", PrepareSettings(size=side))


def repeat_dataset(dataset: Path, out: Path, cases: int) -> Path:
    """Repeat the first case of a dataset under other names; the files are links."""
    description = json.loads((dataset / "dataset.json").read_text())
    first = description["training"][0]
    entries = []
    for number in range(cases):
        entry = {kind: f"{Path(path).parent}/copy_{number:04}.nii.gz" for kind, path in first.items()}
        for kind, path in entry.items():
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            os.link(dataset / first[kind], out / path)
        entries.append(entry)
    description |= {"training": entries, "test": [], "numTraining": cases, "numTest": 0}
    (out / "dataset.json").write_text(json.dumps(description))
    return out


def repeat_store(store: Store, out: Path, labelled: int, unlabelled: int = 0, *, link: bool = True) -> Store:
    """Repeat the first case of a store; the files are links, or copies if each must be on the disk."""
    names = [f"copy_{number:04}" for number in range(labelled + unlabelled)]
    for name in names:
        folder = out / "cases" / name
        folder.mkdir(parents=True)
        for file in (store.root / "cases" / store.cases[0]).iterdir():
            (os.link if link else shutil.copyfile)(file, folder / file.name)
    content = json.loads((store.root / "store.json").read_text())
    content |= {"labelled": names[:labelled], "unlabelled": names[labelled:]}
    record = content["records"][store.cases[0]]
    content["records"] = {name: record | {"digest": name} for name in names}
    content["groups"] = {name: name for name in names}
    (out / "store.json").write_text(json.dumps(content))
    return Store(out)
