"""`python -m sslmed` is the command `sslmed`."""

from sslmed.cli.command import main

if __name__ == "__main__":
    main()
