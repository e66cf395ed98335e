"""Checks for optional packages. The error names a missing package and the command that installs it."""

from importlib.util import find_spec

from sslmed.core.errors import UserError


def require(module: str, *, extra: str, why: str) -> None:
    """Check that a package of an extra is installed.

    Args:
        module: Name of the module to import.
        extra: The extra of sslmed that installs it.
        why: What needs it, e.g. the user's option.

    Raises:
        UserError: If it is not installed. The message names the extra.
    """
    if find_spec(module) is None:
        raise UserError(f'{why} needs the package {module}, which is not installed: pip install "sslmed[{extra}]"')
