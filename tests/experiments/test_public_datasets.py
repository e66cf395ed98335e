"""The public datasets that torchio knows, from archives of their layout that a server on this machine serves."""

import contextlib
import hashlib
import io
import tarfile
import zipfile
from dataclasses import replace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torchio
from commands import TINY, reproduce
from loopback import Server, running

from sslmed.core.errors import UserError
from sslmed.experiments.sources import Source
from sslmed.preparation.download.fetch import fetch
from sslmed.preparation.download.known import KNOWN, ORGANS, licence_of
from sslmed.preparation.readers import layouts

FOLDERS = {"ixi": "IXI-T1", "ixitiny": "IXITiny", "medmnist-organ": "OrganMNIST3D"}


def volume(number: int, side: int = 10) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 255, (side, side + 2, side - 2)).astype(np.uint8)


def compressed(voxels: np.ndarray) -> bytes:
    return nib.Nifti1Image(voxels, np.diag([1.0, 1.0, 2.0, 1.0])).to_bytes()


def ixi(modality: str) -> bytes:
    """Files at the root of a tar, as in IXI-T1.tar; torchio.datasets.IXI reads them from the folder of the modality."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for number in (2, 12, 13, 14):
            content = compressed(volume(number))
            member = tarfile.TarInfo(f"IXI{number:03}-Guys-0828-{modality}.nii.gz")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


def ixi_tiny(subjects: int = 12) -> bytes:
    """ixi_tiny/image and ixi_tiny/label in a zip."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(subjects):
            voxels = volume(number)
            for kind, array in (("image", voxels), ("label", (voxels > 120).astype(np.uint8))):
                archive.writestr(f"ixi_tiny/{kind}/IXI{number:03}-Guys-0828_{kind}.nii.gz", compressed(array))
    return file.getvalue()


def organs(per_class: int = 2) -> bytes:
    """Images (N, 28, 28, 28) and labels (N, 1) of three splits in an npz."""
    arrays = {}
    for split in ("train", "val", "test"):
        labels = np.repeat(np.arange(11), per_class).astype(np.uint8)[:, None]
        generator = np.random.default_rng(len(split))
        arrays[f"{split}_images"] = generator.integers(0, 255, (len(labels), 28, 28, 28), np.uint8)
        arrays[f"{split}_labels"] = labels
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


ARCHIVES = {"ixi": lambda: ixi("T1"), "ixitiny": ixi_tiny, "medmnist-organ": organs}
SIZES = {"ixi": 4, "ixitiny": 12, "medmnist-organ": 66}


@pytest.fixture
def serve(monkeypatch):
    """Return a function that serves the archive of a dataset here, and returns the server."""
    published = KNOWN["medmnist-organ"]
    with contextlib.ExitStack() as stack:

        def serve(name: str) -> Server:
            content = ARCHIVES[name]()
            file = "organmnist3d.npz" if name == "medmnist-organ" else name
            server = stack.enter_context(running(Server(content, file)))
            md5 = hashlib.md5(content).hexdigest()
            monkeypatch.setattr(torchio.datasets.IXI, "base_url", f"{server.url}/IXI-{{modality}}.tar")
            monkeypatch.setitem(torchio.datasets.IXI.md5_dict, "T1", md5)
            monkeypatch.setattr(torchio.datasets.IXITiny, "url", f"{server.url}.zip?dl=1")
            monkeypatch.setattr(torchio.datasets.IXITiny, "md5", md5)
            monkeypatch.setattr(torchio.datasets.medmnist.MedMNIST, "BASE_URL", server.url.rpartition("/")[0])
            here = replace(published, address=lambda: (published.address()[0], md5))
            monkeypatch.setitem(KNOWN, "medmnist-organ", here)
            return server

        yield serve


def test_data_of_several_datasets_have_the_licences_of_those_that_are_known() -> None:
    assert licence_of("mine") is None
    assert licence_of("pancreas+mine+Task04_Hippocampus") == licence_of("hippocampus")
    assert licence_of("ixi+aptos") == f"{licence_of('aptos')}; {licence_of('ixi')}"


@pytest.mark.parametrize("name", FOLDERS)
def test_a_dataset_is_downloaded_resumed_and_read(name, serve, tmp_path, capsys) -> None:
    server = serve(name)
    server.breaks_after = 1000
    resume = "broke off after 1000 of .*; run the same command again to resume, or first put http"
    with pytest.raises(UserError, match=resume) as error:
        fetch(name, tmp_path)
    assert "\n" not in str(error.value)
    licence = licence_of(name)
    assert licence == licence_of(FOLDERS[name])
    assert capsys.readouterr().err.startswith(f"{name}: {FOLDERS[name]}, licence {licence}\n")
    server.breaks_after = None
    folder = fetch(name, tmp_path)
    assert server.ranges == [None, "bytes=1000-"]
    assert folder == tmp_path / FOLDERS[name]
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".lock") == [folder.name]
    dataset = layouts.read(folder)
    assert (dataset.name, dataset.labels, len(dataset.cases)) == (FOLDERS[name], KNOWN[name].labels, SIZES[name])


def test_images_and_labels_are_those_that_torchio_reads(serve, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(torchio.datasets.medmnist, "get_torchio_cache_dir", lambda: tmp_path / "cache")
    for name in ("ixitiny", "medmnist-organ"):
        serve(name)
        fetch(name, tmp_path)
    tiny = torchio.datasets.IXITiny(tmp_path / "IXITiny")
    cases = layouts.read(tmp_path / "IXITiny").cases
    assert [(case.image, case.label) for case in cases] == [(each["image"].path, each["label"].path) for each in tiny]
    organs = layouts.read(tmp_path / "OrganMNIST3D")
    for number, subject in enumerate(torchio.datasets.OrganMNIST3D("val")):
        case = next(each for each in organs.cases if each.id.endswith(f"val_{number:04}"))
        assert np.array_equal(nib.load(case.image).dataobj, subject["image"].data[0])
        assert organs.label_names[case.label] == ORGANS[int(subject["labels"])]


def test_another_archive_is_refused(serve, tmp_path) -> None:
    serve("ixitiny").content = ixi_tiny(3)
    with pytest.raises(UserError, match=r"IXITiny\.zip: has another MD5 than .*; delete it"):
        fetch("ixitiny", tmp_path)


@pytest.mark.parametrize(("name", "labels"), [("ixi", "map"), ("ixitiny", "class"), ("medmnist-organ", "value")])
def test_labels_of_another_kind_are_refused_before_the_download(name, labels, serve, tmp_path) -> None:
    server = serve(name)
    with pytest.raises(UserError, match=f"{name}: its labels are .*, not "):
        Source(name, tmp_path, labels).fetch()
    assert server.ranges == []


@pytest.mark.usefixtures("in_one_process")
@pytest.mark.slow
def test_small_brains_are_segmented_and_organs_are_the_pool(serve, tmp_path, capsys) -> None:
    options = ["--labels", "all", "--arms", "baseline", "rotation-external", "--pool", "medmnist-organ"]
    command = [tmp_path, "segmentation", "--data", "ixitiny", "--preset", TINY, *options]
    serve("ixitiny")
    fetch("ixitiny", tmp_path / "downloads")
    pool = serve("medmnist-organ")
    assert reproduce(*command, "--dry-run") == 0
    assert pool.ranges == []
    assert "OrganMNIST3D (not here yet: it will be downloaded)" in capsys.readouterr().out
    assert reproduce(*command) == 0
    out = tmp_path / "out" / "segmentation" / "ixitiny-tiny"
    assert {*pd.read_csv(out / "results.csv")["arm"]} == {"baseline", "rotation-external"}
    report = (out / "report.html").read_text()
    assert f"<dt>Dataset</dt><dd>ixitiny (licence: {licence_of('ixi')})</dd>" in report
    assert "OrganMNIST3D (licence: CC BY 4.0): the arms with -external are pretrained on it alone" in report


@pytest.mark.parametrize(
    ("data", "pool"), [(["ixitiny"], "ixi-t2"), (["ixitiny"], "ixitiny"), (["hippocampus", "ixitiny"], "ixi")]
)
def test_a_pool_of_the_same_people_is_refused(data, pool, tmp_path, capsys) -> None:
    assert reproduce(tmp_path, "segmentation", "--data", *data, "--pool", pool, "--dry-run") == 2
    assert f"--pool {pool}: shows the people of ixitiny" in capsys.readouterr().err


@pytest.mark.usefixtures("in_one_process")
@pytest.mark.slow
def test_small_organs_are_classified(serve, tmp_path) -> None:
    serve("medmnist-organ")
    options = ["--preset", TINY.with_name("tiny-fundus"), "--labels", "all", "--arms", "baseline"]
    assert reproduce(tmp_path, "classification", "--data", "medmnist-organ", *options) == 0
    out = tmp_path / "out" / "classification" / "medmnist-organ-tiny-fundus"
    assert {"auroc", "accuracy"} <= {*pd.read_csv(out / "results.csv")["metric"]}
    assert "kidney-left, kidney-right" in (out / "report.html").read_text()
