"""`python -m vivace`: the command line."""

from vivace.cli import main

if __name__ == "__main__":
    main()
