"""``python -m glosstune.search`` is the command ``glosstune`` where the package was shipped, not installed."""

from glosstune.search.command_line import main

main()
