"""``python -m glosstune.search`` is the command ``glosstune`` where the package was shipped, not installed."""

from glosstune.search.cli.main import main

main()
