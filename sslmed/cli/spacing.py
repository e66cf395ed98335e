"""`--spacing auto`: a word in place of three numbers, which argparse cannot take, so it is read as a flag."""

from collections.abc import Collection, Sequence

from sslmed.core.errors import UserError

WORDS, FLAG = "--spacing auto", "--auto-spacing"
"""What is given and shown in help, and the flag that it is read as; both have the same length."""


def read_spacing(arguments: Sequence[str], options: Collection[str]) -> list[str]:
    """Replace `--spacing auto` by the flag.

    Args:
        arguments: As given after a subcommand.
        options: All options of the subcommand.

    Raises:
        UserError: If a spacing is given where none can be, would have no effect, or is chosen as well.
    """
    plain: list[str] = []
    for argument in arguments:
        if argument == "--spacing=auto":
            plain.append(FLAG)
        elif argument == "auto" and plain[-1:] == ["--spacing"]:
            plain[-1] = FLAG
        else:
            plain.append(argument)
    given = {each.split("=")[0] for each in plain}
    if "--spacing" in given and "--spacing" not in options:
        raise UserError(f"--spacing: is given as {WORDS} here; numbers are settings of a preset")
    if "--spacing" in given and "--geometry" not in given:
        raise UserError("--spacing: has no effect without --geometry spacing; give both")
    if FLAG in given and (overridden := [each for each in ("--spacing", "--geometry") if each in given]):
        raise UserError(f"{WORDS}: chooses --geometry and --spacing itself; leave out {overridden[0]}")
    return plain
