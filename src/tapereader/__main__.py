"""``python -m tapereader``: the command line, for launchers that start a module."""

from tapereader.cli.app import main

if __name__ == "__main__":
    main()
