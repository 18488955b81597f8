"""`python -m ratio_search` is the same program as `ratio-search`."""

from ratio_search.cli import main

if __name__ == "__main__":
    main()
