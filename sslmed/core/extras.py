"""Packages that only some users need: what is not installed is named, with the command that installs it."""

from importlib.util import find_spec

from sslmed.core.errors import UserError


def require(module: str, *, extra: str, why: str) -> None:
    """Check that a package of an extra is installed.

    Args:
        module: What is imported.
        extra: The extra of sslmed that brings it.
        why: What needs it, as the user asked for it.

    Raises:
        UserError: It is not; names the extra.
    """
    if find_spec(module) is None:
        raise UserError(f'{why} needs the package {module}, which is not installed: pip install "sslmed[{extra}]"')
