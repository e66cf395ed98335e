import hashlib
import io
import tarfile

import pytest
from loopback import Server, running

from sslmed.core.errors import UserError
from sslmed.preparation.download.fetch import fetch
from sslmed.preparation.download.transfer import CHUNK

TASK = "Task04_Hippocampus"


@pytest.fixture(scope="module")
def archive():
    """Return the bytes of an archive of a few chunks."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in (("dataset.json", b"{}"), ("imagesTr/a.nii.gz", bytes(2 * CHUNK + 99))):
            member = tarfile.TarInfo(f"{TASK}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


@pytest.fixture
def server(archive):
    with running(Server(archive, f"{TASK}.tar")) as server:
        yield server


@pytest.fixture
def download(server, monkeypatch):
    """Return a function that downloads what MONAI is made to believe the archive: the served file by default."""
    from monai.apps.datasets import DecathlonDataset

    served = hashlib.md5(server.content).hexdigest()

    def download(folder, *, url=server.url, md5=served):
        monkeypatch.setitem(DecathlonDataset.resource, TASK, url)
        monkeypatch.setitem(DecathlonDataset.md5, TASK, md5)
        return fetch("hippocampus", folder)

    return download


def check_complete(folder):
    assert (folder / TASK / "dataset.json").read_bytes() == b"{}"
    assert (folder / TASK / "imagesTr/a.nii.gz").stat().st_size == 2 * CHUNK + 99
    assert sorted(path.name for path in folder.iterdir() if path.suffix != ".lock") == [TASK]


def test_whole_transfer_and_nothing_when_present(download, server, tmp_path, capsys):
    assert download(tmp_path / "data") == tmp_path / "data" / TASK
    check_complete(tmp_path / "data")
    assert f"downloading {TASK}: 3 of 3 MiB" in capsys.readouterr().err
    download(tmp_path / "data")
    assert server.ranges == [None]


def test_a_broken_transfer_is_resumed(download, server, tmp_path):
    server.breaks_after = CHUNK + 7
    broken = f"broke off after {CHUNK + 7} of {len(server.content)} bytes"
    with pytest.raises(UserError, match=f"{broken}.*run the same command again to resume") as caught:
        download(tmp_path)
    for part in (server.url, str(tmp_path / f"{TASK}.tar"), str(tmp_path / TASK)):  # what to do by hand
        assert part in str(caught.value)
    server.breaks_after = None
    download(tmp_path)
    check_complete(tmp_path)
    assert server.ranges == [None, f"bytes={CHUNK + 7}-"]


def test_server_without_ranges_starts_again(download, server, tmp_path):
    server.supports_ranges = False
    (tmp_path / f"{TASK}.tar.part").write_bytes(b"something else")
    download(tmp_path)
    check_complete(tmp_path)


def test_killed_between_transfer_and_extraction(download, server, tmp_path):
    (tmp_path / f"{TASK}.tar.part").write_bytes(server.content)
    (tmp_path / f".{TASK}.extracting" / TASK).mkdir(parents=True)
    download(tmp_path)
    check_complete(tmp_path)


def test_wrong_checksum(download, tmp_path):
    with pytest.raises(UserError, match=f"{TASK}.tar: has another MD5 than 0123; delete it"):
        download(tmp_path, md5="0123")
    assert not (tmp_path / TASK).exists()


@pytest.mark.parametrize(("running", "words"), [(True, "404: Not Found"), (False, "Connection refused")])
def test_absent_file_or_server(download, server, tmp_path, running, words):
    url = server.url.replace(TASK, "absent")
    if not running:
        server.shutdown()
        server.server_close()
    with pytest.raises(UserError, match=f"cannot be downloaded .*{words}") as caught:
        download(tmp_path, url=url)
    assert f"put {url} (MD5 " in str(caught.value)


def test_unknown_name(tmp_path):
    with pytest.raises(UserError, match="unknown dataset 'liver'; known are pancreas, hippocampus, brats, aptos"):
        fetch("liver", tmp_path)
