"""The data that a run has seen, as its directory records them, and what may be done with its checkpoint therefore."""

import json
import logging
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from sslmed.core.errors import UserError
from sslmed.core.text import shorten
from sslmed.data.datamodule import StoreDataModule
from sslmed.data.selection import data_fingerprint
from sslmed.encoders.weights_file import find_weights
from sslmed.preparation.channels import agree
from sslmed.preparation.settings import preparation_differences
from sslmed.preparation.store import Store
from sslmed.training.run_directory import RunDirectory

log = logging.getLogger(__name__)


def record_of(data: StoreDataModule, pretrained: Path | None = None) -> dict[str, Any]:
    """Return what a run's `data.json` holds.

    Args:
        data: Data of the run.
        pretrained: Checkpoint that it starts from.

    Returns:
        The result of `describe_selection`, its `fingerprint`, the names of `channels`, `transductive`, `digests` of the
        images, and `pretraining_digests`, of those that pretraining has seen; `None` if this is not known.
    """
    seen = data.seen()
    before = {} if pretrained is None else _read_record(pretrained)
    digests = {case: data.store.digests[case] for case in (*data.selection.training, *data.selection.validation)}
    transductive = getattr(data, "transductive", False)
    known = set() if pretrained is None else seen_digests(before)
    fingerprint = data_fingerprint(seen, before.get("fingerprint"))
    record = {"fingerprint": fingerprint, **seen, "channels": data.store.modalities, "transductive": transductive}
    return {**record, "digests": digests, "pretraining_digests": None if known is None else sorted(known)}


def seen_digests(record: Mapping[str, Any]) -> set[str] | None:
    """Return the digests of all images that a run and its pretraining have seen, by its `data.json`.

    Returns:
        The digests; `None` if it is not known.
    """
    before = record.get("pretraining_digests")
    return None if before is None else {*record["digests"].values(), *before}


def _read_record(checkpoint: Path) -> dict[str, Any]:
    """Read the `data.json` of the run whose `checkpoints/` hold a checkpoint; empty if there is none."""
    return _run_of(checkpoint).read_data()


def _run_of(checkpoint: Path) -> RunDirectory:
    return RunDirectory(find_weights(checkpoint).absolute().parent.parent)


def _differences(record: dict[str, Any], store: Store) -> list[str]:
    """Name what differs between the images that a run saw and those of a store."""
    differences = preparation_differences(record["preparation"], store.preparation)
    if not agree(there := record.get("channels", store.modalities), here := store.modalities):
        differences.append(f"channels ({', '.join(there)} there, {', '.join(here)} here)")
    return differences


def refuse_other_preparation(checkpoint: Path, store: Store) -> None:
    """Refuse to apply a network to images that are prepared otherwise than those that it was trained on.

    Raises:
        UserError: If a setting of the preparation differs.
    """
    record = _read_record(checkpoint)
    if not record:
        log.warning(
            "%s: is in no run's directory, so it is not known for which preparation of images it is", checkpoint
        )
        return
    if differences := _differences(record, store):
        raise UserError(
            f"{store.root}: is prepared otherwise than the images that {checkpoint} was trained on: "
            f"{', '.join(differences)}; prepare the data as there"
        )


def refuse_learned_cases(checkpoint: Path, data: StoreDataModule) -> None:
    """Refuse to test a network on images that its run, or its pretraining, has seen.

    What pretraining has seen does not count if the results of the run say that it is transductive.

    Raises:
        UserError: If there is one.
    """
    run = _run_of(checkpoint)
    record, results = run.read_data(), json.loads(run.results.read_text(encoding="utf-8")) if run.is_done else {}
    before = None if results.get("transductive", False) else seen_digests(record)
    _refuse(run, data, "test", {*record.get("digests", {}).values(), *(before or ())})


def refuse_trained_cases(checkpoint: Path, data: StoreDataModule) -> None:
    """Refuse to validate a network on images that its run, or its pretraining, has seen, but its validation cases.

    Raises:
        UserError: If there is one.
    """
    run = _run_of(checkpoint)
    record = run.read_data()
    own = {digest for case, digest in record.get("digests", {}).items() if case not in record["training"]}
    _refuse(run, data, "validation", {*record.get("digests", {}).values(), *(seen_digests(record) or ())} - own)


def _refuse(run: RunDirectory, data: StoreDataModule, part: str, seen: Set[str]) -> None:
    cases: Sequence[str] = getattr(data.selection, part)
    met = [case for case in cases if data.store.digests[case] in seen]
    if met:
        raise UserError(
            f"{run.path}: was trained or validated on {len(met)} of these {len(cases)} {part} cases ({shorten(met)}): "
            "data or folds are not those of its training; train it again, or give others by --data.store"
        )


def check_handover(checkpoint: Path, data: StoreDataModule, *, transductive: bool) -> bool:
    """Check that pretraining has seen no image of the test cases, of their patients, and no copy of one.

    Images that are prepared otherwise are no error, as fine-tuning adapts the weights to them; the log says it.

    Args:
        checkpoint: Checkpoint of a pretraining run.
        data: Data of the fine-tuning run.
        transductive: Accept images of test cases.

    Returns:
        Whether pretraining has seen images of test cases.

    Raises:
        UserError: If it has, and neither run says that it is transductive.
    """
    record = _read_record(checkpoint)
    if not record:
        log.warning("%s: is in no run's directory, so which images it has seen is not known", checkpoint)
        return transductive
    store = data.store
    if differences := _differences(record, store):
        log.warning("%s: was pretrained on images that are prepared otherwise: %s", checkpoint, ", ".join(differences))
    groups = {store.groups[case] for case in data.selection.test}
    tested = [case for case in store.cases if store.groups[case] in groups]
    identities = (*record["training"].values(), *record["validation"].values())
    seen = {
        *record["digests"].values(),
        *(record.get("pretraining_digests") or ()),
        *(identity.split()[0] for identity in identities),
    }
    met = [case for case in tested if store.digests[case] in seen or store.image_hash(case) in seen]
    if met and not (transductive or record["transductive"]):
        raise UserError(
            f"{checkpoint}: was pretrained on {len(met)} of the {len(tested)} images of the test cases "
            f"({shorten(met)}): pretrain with data.fold {data.fold}, or set model.pretrained.transductive to true, "
            "and figure and report will say so"
        )
    return bool(met)
