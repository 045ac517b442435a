"""`python -m hft_core` is `hft`."""

from hft_core.cli.main import main

if __name__ == "__main__":
    main()
