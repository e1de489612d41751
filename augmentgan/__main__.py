"""`python -m augmentgan`."""

from augmentgan.cli.app import main

if __name__ == "__main__":
    main()
