"""Voxels that are read when they are used."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import DTypeLike, NDArray

from sslmed.core.errors import DataError, refuse


@dataclass(frozen=True)
class Voxels:
    """What nibabel calls an array proxy: `numpy.asarray` reads the voxels.

    Args:
        path: The volume, for messages.
        shape: Shape of the array.
        read: Reads it.
    """

    path: Path
    shape: tuple[int, ...]
    read: Callable[[], NDArray[Any]]
    is_proxy = True

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        with reading(self.path):
            voxels = self.read()
        return voxels.astype(voxels.dtype if dtype is None else dtype, copy=bool(copy))


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Refuse a volume in one line, whatever its library raises.

    Raises:
        DataError: If there is an error.
    """
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # libraries raise nearly anything
        reason = " ".join(str(error).split("ERROR: ")[-1].split()) or type(error).__name__
        refuse(path, f"is truncated or damaged ({reason}); copy or download it again")
