"""``python -m cds_wrapper`` is the same program as ``cds-wrapper``."""

from cds_wrapper.cli import main

main()
