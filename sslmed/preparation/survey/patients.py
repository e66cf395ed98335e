"""Names the patients of images as a CSV file does, so that a person has one name, whatever says whose an image is."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sslmed.core.text import shorten
from sslmed.preparation.survey.image import Image
from sslmed.preparation.survey.remarks import Remarks
from sslmed.preparation.survey.sheets import Sheet


def name_patients(images: Sequence[Image], sheet: Sheet, numbered: Mapping[str, str], remarks: Remarks) -> list[Image]:
    """Return the images with the patients of a CSV file, where it names them.

    A patient of DICOM is one of the CSV file if that has the same id, or lists an image of this patient.

    Args:
        images: Images with the patients that paths and headers name.
        sheet: The CSV file.
        numbered: Id of a patient in DICOM -> what `Image.patient` calls them.
        remarks: Gets a note if some patients are only in the CSV file, and others only elsewhere.
    """
    of_dicom = {*numbered.values()}
    names = {numbered[identity]: identity for identity in sheet.patients.values() if identity in numbered}
    for image in images:
        if image.patient in of_dicom and image.name in sheet.patients:
            names.setdefault(image.patient, sheet.patients[image.name])
    named = [
        replace(image, patient=sheet.patients.get(image.name) or names.get(image.patient, image.patient))
        for image in images
    ]
    of_csv = {*sheet.patients.values()}
    others = sorted({image.patient for image in named if image.patient} - of_csv)
    if of_csv and others:
        remarks.notes.append(
            f"{sheet.path} names some patients, and file headers or paths name others ({shorten(others)}); if some are "
            "the same people, give them one name in the column patient: else a person may be in training and test"
        )
    return named
