"""Downloads archives of Kaggle's competitions: https://www.kaggle.com/competitions, each with its own rules."""

import io
import re
import sys
import zipfile
import zlib
from contextlib import redirect_stdout
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from sslmed.core.errors import UserError
from sslmed.core.progress import progress
from sslmed.preparation.readers.dataset import Labels

if TYPE_CHECKING:
    from requests import HTTPError


@dataclass(frozen=True)
class Competition:
    """Describes a competition. Kaggle gives its data to accounts that have accepted its rules.

    Args:
        name: Name in the competition's address, e.g. `"aptos2019-blindness-detection"`.
    """

    name: str
    suffix: ClassVar[str] = ".zip"
    labels: ClassVar[Labels] = "class"

    @property
    def licence(self) -> str:
        """Licence of the data."""
        return f"the competition's rules, {self.page}/rules"

    @property
    def page(self) -> str:
        """The competition's address."""
        return f"https://www.kaggle.com/competitions/{self.name}"

    @property
    def source(self) -> str:
        """Where a user finds the archive."""
        return f'the file that "Download All" gives at {self.page}/data'

    def download(self, archive: Path) -> None:
        """Download the archive with Kaggle's client, which retries five times and resumes interrupted downloads.

        Raises:
            PermissionError: If there are no sufficient credentials. The message explains how to get them.
            OSError: If Kaggle does not send the whole archive; the received part is kept.
        """
        part = archive.with_name(f"{archive.name}.part")
        # `import kaggle` already logs in. It writes help to standard output, and the key if VERBOSE is set.
        with redirect_stdout(io.StringIO()):
            from kaggle.api.kaggle_api_extended import KaggleApi
            from kagglesdk.competitions.types.competition_api_service import ApiDownloadDataFilesRequest
            from requests import HTTPError, RequestException

            api = KaggleApi()
            api.args = []  # no --verbose, which would read the whole archive into memory to print it
            request = ApiDownloadDataFilesRequest()
            request.competition_name = self.name
            try:
                api.authenticate()
                with (
                    api.build_kaggle_client() as client,
                    client.competitions.competition_api_client.download_data_files(request) as response,
                ):
                    print(f"downloading {self.name}", file=sys.stderr)
                    quiet = not sys.stderr.isatty()  # or a log would be full of its progress bar
                    api.download_file(response, str(part), client.http_client(), quiet=quiet, resume=True)
            except SystemExit:
                message = f"Kaggle was given no credentials that it can use: {_how_to_log_in(api.config)}"
                raise PermissionError(message) from None
            except HTTPError as error:
                raise self._explain(error, api.config) from None
            except (RequestException, ValueError) as error:  # ValueError: the size differs from the announced one
                raise ConnectionError(_without_address(error)) from None
        part.replace(archive)

    def _explain(self, error: "HTTPError", key_file: str) -> OSError:
        status = None if error.response is None else error.response.status_code
        said = _without_address(error)
        if status == HTTPStatus.UNAUTHORIZED:
            return PermissionError(f"Kaggle refuses your credentials, {said!r}: {_how_to_log_in(key_file)}")
        if status == HTTPStatus.FORBIDDEN:
            cure = f"accept the competition's rules at {self.page}/rules, with the account that the credentials are of"
            return PermissionError(f"Kaggle refuses the data, {said!r}: {cure}; it may have to verify your phone first")
        if status == HTTPStatus.NOT_FOUND:
            return FileNotFoundError(f"Kaggle does not know the data, {said!r}: see whether {self.page} exists")
        return ConnectionError(f"Kaggle answers {said!r}")

    def unpack(self, archive: Path, folder: Path) -> Path:
        """Extract the archive into `folder`, check each file, and return the dataset's folder in it.

        Raises:
            UserError: If the archive is damaged.
        """
        try:
            with zipfile.ZipFile(archive) as file:
                members = file.infolist()
                with progress(f"extracting {self.name}", len(members), unit="files") as advance:
                    for member in members:
                        file.extract(member, folder)  # checks its CRC, and never leaves the folder
                        advance()
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise UserError(f"{archive}: is damaged ({error}); delete it and run the same command again") from error
        return folder


def _without_address(error: Exception) -> str:
    """Return the text of an error without the archive's address, which works without credentials."""
    return re.sub(r" (?:for|with) url: \S+", "", str(error))


def _how_to_log_in(key_file: str) -> str:
    return (
        "generate a new token at https://www.kaggle.com/settings/api and put it in the environment variable "
        "KAGGLE_API_TOKEN or the file ~/.kaggle/access_token (or create a legacy API key there and move its "
        f"kaggle.json to {key_file}, or put its two values in KAGGLE_USERNAME and KAGGLE_KEY)"
    )
