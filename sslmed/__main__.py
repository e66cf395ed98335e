"""`python -m sslmed` is the command `sslmed`."""

from sslmed.cli import main

if __name__ == "__main__":
    main()
