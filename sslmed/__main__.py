"""`python -m sslmed` is the command `sslmed`."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        sys.path.append(sys.path.pop(0))  # the working folder comes last: its random.py must not replace Python's
    from sslmed.cli.command import main

    main()
