"""Reads a CSV file as text, so that 007 stays 007."""

import csv
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from sslmed.core.errors import DataError
from sslmed.preparation.readers.names import nfc

PATIENTS = (
    *("patient", "patient_id", "patientid", "subject", "subject_id", "subjectid", "participant", "participant_id"),
    *("mrn", "pid", "pat_id", "patid", "patienten_id"),
)
"""Names that others give to a column of patients, the most certain first."""

NOT_AVAILABLE = {
    *("na", "n/a", "nan", "null", "-", "--", "?", "."),
    *("#n/a", "#ref!", "#value!", "#name?", "#div/0!", "#null!", "#num!"),
}
"""Text that people and programs write into cells without a value."""

NOBODY = {"none", "<na>", "nat", "n.a.", "(null)", "unknown", "anonymous", "anonymized", "anonymised"}
"""Text that stands where a patient is not named; a class may be called so."""

NEARLY = 0.8  # similarity of names, by difflib: patient_id and patients are near patient, patient_age is not


@dataclass(frozen=True)
class Line:
    """Holds one line of a table that is not empty.

    Args:
        number: Number of the line in the file.
        cells: Column -> text without surrounding spaces; empty if the line is too short.
        surplus: Number of cells beyond those of the first line; they make the other cells doubtful.
    """

    number: int
    cells: dict[str, str]
    surplus: int

    @property
    def patient(self) -> str | None:
        """The patient; `None` if the cell names none."""
        text = self.cells.get("patient", "")
        return text if names_patient(text) else None


def is_given(text: str) -> bool:
    """Return whether a cell has a value."""
    return text != "" and text.lower() not in NOT_AVAILABLE


def names_patient(text: str) -> bool:
    """Return whether a cell or a header names a patient; NA, unknown and so on do not: else all of them were one."""
    return is_given(text) and text.lower() not in NOBODY


def read_lines(path: Path) -> list[tuple[int, list[str]]]:
    """Return the number and the cells of each line that is not empty, in composed Unicode.

    Raises:
        DataError: If the file cannot be read, or is not CSV in UTF-8, separated by commas or semicolons.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            # Spreadsheets of many countries write semicolons.
            delimiter = ";" if ";" in first and "," not in first else ","
            reader = csv.reader(file, strict=True, delimiter=delimiter)
            lines = [(reader.line_num, [nfc(cell.strip()) for cell in cells]) for cells in reader]
    except UnicodeDecodeError as error:
        raise DataError([f"{path}: is not UTF-8 text ({error.reason}); save it as CSV in UTF-8"]) from error
    except csv.Error as error:
        raise DataError([f"{path}: is not valid CSV ({error}); fix it, or download it again"]) from error
    except OSError as error:
        raise DataError([f"{path}: cannot be read ({error.strerror}); check its permissions and the disk"]) from error
    return [(number, cells) for number, cells in lines if any(cells)]


def refuse_misspelt(path: Path, header: Sequence[str], columns: Collection[str]) -> None:
    """Refuse a table with a column that is nearly called like one of these, or as others call it, none of which it has.

    Raises:
        DataError: In this case: the column would be ignored, and with it the labels or the patients.
    """
    if set(columns) & set(header):
        return
    for name in header:
        is_patient = "patient" in columns and re.sub(r"\W+", "_", name) in PATIENTS
        meant = ["patient"] if is_patient else get_close_matches(name, columns, n=1, cutoff=NEARLY)
        if meant:
            cure = f"if it is meant as {meant[0]}, name it so, or else remove it"
            raise DataError([f"{path}: has a column {name}, which would be ignored; {cure}"])


def by_column(lines: Sequence[tuple[int, list[str]]]) -> list[Line]:
    """Assign the cells of all lines to the columns named in the first line."""
    header = lines[0][1] if lines else []
    return [
        Line(
            number,
            dict.fromkeys(header, "") | dict(zip(header, cells, strict=False)),
            max(0, len(cells) - len(header)),
        )
        for number, cells in lines[1:]
    ]
