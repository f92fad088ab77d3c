"""`python -m stock_platform.cli`: the `stocks` command without its script."""

from stock_platform.cli import main

main()
