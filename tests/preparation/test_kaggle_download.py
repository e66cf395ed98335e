import base64
import errno
import io
import json
import re
import sys
import time
import zipfile

import loopback
import pytest
from loopback import Server, running

from sslmed.core.errors import UserError
from sslmed.preparation.download.fetch import fetch

NAME = "aptos2019-blindness-detection"
FILES = {
    "train.csv": b"id_code,diagnosis\na,0\n",
    "test.csv": b"id_code\nb\n",
    "train_images/a.png": bytes(range(256)) * 9999,
    "test_images/b.png": b"b",
}
CHUNK = 2**20  # bytes that Kaggle's client writes at once
KEY = "0123456789abcdef"
LEGACY = "Basic " + base64.b64encode(f"someone:{KEY}".encode()).decode()


def archive_of(files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


class Kaggle(Server):
    """Answers as Kaggle's API does, and redirects to the archive as it does."""

    def __init__(self):
        super().__init__(archive_of(FILES), "archive.zip", Handler)
        self.refusal = None  # status and what Kaggle says
        self.token_is_active = True
        self.authorizations = []


class Handler(loopback.Handler):
    def do_POST(self):  # noqa: N802 (http.server's name)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/security.OAuthService/IntrospectToken":
            self.answer(200, {"active": self.server.token_is_active, "username": "someone"})
            return
        assert self.path == "/v1/competitions.CompetitionApiService/DownloadDataFiles"
        assert body["competitionName"] == NAME
        self.server.authorizations.append(self.headers["Authorization"])
        if self.server.refusal is not None:
            status, message = self.server.refusal
            self.answer(status, {"code": status, "message": message} if message else None)
            return
        self.send_response(302)
        self.send_header("Location", f"{self.server.url}?Signature=secret")
        self.end_headers()

    def answer(self, status, content):
        body = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if content is None else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def stranger(monkeypatch, tmp_path):
    """Return a stand-in for Kaggle that nobody has logged in to; the client is imported anew, as it logs in then."""
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between the client's attempts
    monkeypatch.setenv("VERBOSE", "1")  # with which the client prints what it sends, the key as well
    for name in list(sys.modules):
        if name.split(".")[0] == "kaggle":
            monkeypatch.delitem(sys.modules, name)
    from kagglesdk import kaggle_env

    with running(Kaggle()) as server:
        monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, server.url.rpartition("/")[0])
        yield server


@pytest.fixture
def kaggle(stranger, monkeypatch):
    """Return a stand-in for Kaggle that someone has logged in to by a legacy key."""
    monkeypatch.setenv("KAGGLE_USERNAME", "someone")
    monkeypatch.setenv("KAGGLE_KEY", KEY)
    return stranger


LICENCE = f"aptos: {NAME}, licence the competition's rules, https://www.kaggle.com/competitions/{NAME}/rules\n"


def check_complete(folder):
    assert {name: (folder / NAME / name).read_bytes() for name in FILES} == FILES
    assert [path.name for path in folder.iterdir() if path.suffix != ".lock"] == [NAME]


def failure(folder):
    """Return what the user is told, which must have all that can be done by hand, and no secret."""
    with pytest.raises(UserError) as caught:
        fetch("aptos", folder)
    assert not (folder / NAME).exists()
    message = str(caught.value)
    for part in (f"{NAME}: cannot be downloaded", "run the same command again", f"/competitions/{NAME}/data"):
        assert part in message
    assert message.endswith(f" at {folder / NAME}.zip")
    assert KEY not in message
    assert "Signature" not in message
    return message


def test_download(kaggle, folder, capfd):
    assert fetch("aptos", folder) == folder / NAME
    check_complete(folder)
    fetch("aptos", folder)
    assert kaggle.authorizations == [LEGACY]
    out, err = capfd.readouterr()
    assert out == ""
    assert err == f"{LICENCE}downloading {NAME}\nextracting {NAME}: 4 of 4 files\n"


@pytest.mark.parametrize("place", ["kaggle.json", "access_token", "KAGGLE_API_TOKEN"])
def test_places_of_credentials(stranger, folder, tmp_path, monkeypatch, capfd, place):
    if place == "KAGGLE_API_TOKEN":
        monkeypatch.setenv(place, KEY)
    else:
        path = tmp_path / "home/.kaggle" / place
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"username": "someone", "key": KEY}) if place == "kaggle.json" else KEY)
    fetch("aptos", folder)
    check_complete(folder)
    assert stranger.authorizations == [LEGACY if place == "kaggle.json" else f"Bearer {KEY}"]
    assert KEY not in "".join(capfd.readouterr())


@pytest.mark.parametrize("token", [None, KEY])
def test_no_credentials_or_an_expired_token(stranger, folder, tmp_path, monkeypatch, capfd, token):
    stranger.token_is_active = False
    if token is not None:
        monkeypatch.setenv("KAGGLE_API_TOKEN", token)
    message = failure(folder)
    assert "no credentials that it can use: generate a new token at https://www.kaggle.com/settings/api" in message
    for place in (
        "KAGGLE_API_TOKEN",
        "~/.kaggle/access_token",
        str(tmp_path / "home"),
        "KAGGLE_USERNAME",
        "KAGGLE_KEY",
    ):
        assert place in message
    assert stranger.authorizations == []
    assert capfd.readouterr() == ("", LICENCE)


@pytest.mark.parametrize(
    ("status", "said", "words"),
    [
        (401, "", "refuses your credentials, '401 Client Error: Unauthorized': generate a new token at"),
        (401, "Unauthenticated", "refuses your credentials, 'Unauthenticated': generate a new token at"),
        (403, "You must accept the rules", f"'You must accept the rules': .* at https://.*/competitions/{NAME}/rules"),
        (404, "Not found", f"does not know the data, 'Not found': see whether https://.*/{NAME} exists"),
        (503, "", r"\(Kaggle answers '503 Server Error: Service Unavailable'\)"),
    ],
)
def test_refusal(kaggle, folder, status, said, words):
    kaggle.refusal = (status, said)
    assert re.search(words, failure(folder))
    kaggle.refusal = None
    fetch("aptos", folder)
    check_complete(folder)


def test_no_answer(kaggle, folder):
    kaggle.shutdown()
    kaggle.server_close()
    assert "Connection refused" in failure(folder)


def test_a_broken_transfer_is_resumed(kaggle, folder):
    kaggle.breaks_after = 3 * CHUNK // 2
    failure(folder)
    kaggle.breaks_after = None
    fetch("aptos", folder)
    check_complete(folder)
    assert set(kaggle.ranges) == {None, f"bytes={CHUNK}-"}
    assert kaggle.ranges[-1] == f"bytes={CHUNK}-"


def test_full_disk(kaggle, folder, monkeypatch):
    def extract(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(zipfile.ZipFile, "extract", extract)
        assert "No space left on device" in failure(folder)
    kaggle.content = b"not asked for again"
    fetch("aptos", folder)
    check_complete(folder)


def test_archive_put_there_by_hand_needs_no_kaggle(stranger, folder):
    (folder / f"{NAME}.zip").write_bytes(stranger.content)
    fetch("aptos", folder)
    check_complete(folder)
    assert "kaggle" not in sys.modules


def damaged(archive):
    position = archive.index(FILES["train_images/a.png"][:256])
    return archive[:position] + b"!" + archive[position + 1 :]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (damaged, "is damaged .*Bad CRC-32 for file 'train_images/a.png'"),
        (lambda archive: archive[: len(archive) // 2], "is damaged .*not a zip file"),
        (lambda archive: archive_of({"readme.txt": b""}), f"does not hold {NAME}"),
    ],
)
def test_archive_that_cannot_be_used(stranger, folder, change, words):
    (folder / f"{NAME}.zip").write_bytes(change(stranger.content))
    with pytest.raises(UserError, match=f"{NAME}.zip: .*{words}.*; delete it and run the same command again"):
        fetch("aptos", folder)
    assert not (folder / NAME).exists()


def test_members_stay_inside(stranger, folder, tmp_path):
    (folder / f"{NAME}.zip").write_bytes(archive_of(FILES | {"../../a.txt": b"", f"{tmp_path}/b.txt": b""}))
    fetch("aptos", folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
    assert sorted(path.name for path in folder.glob("*.txt")) == []


def test_folder_that_is_not_whole_is_told_before_the_transfer(kaggle, folder):
    (folder / NAME / "train_images").mkdir(parents=True)
    with pytest.raises(UserError, match=f"{NAME}: holds no whole dataset; complete it, or delete it"):
        fetch("aptos", folder)
    assert kaggle.authorizations == []
