"""`python -m augmentgan`, and the command `augmentgan`."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line."""
    try:
        from augmentgan.cli import app
    except KeyboardInterrupt:  # before anything was begun
        sys.exit(130)
    app.main()


if __name__ == "__main__":
    main()
