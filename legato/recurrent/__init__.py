"""Recurrent networks: cells as on the slide, at the speed of a hand-tuned kernel. Knows layers of time, and no task.

Read `cells.py`, then `scan.py`, which says what the rest must equal; then `trace.py`, `program.py`, `emit.py` and
`compiled.py`, which is how `fast.scan` does.
"""

from legato.recurrent.cells import CELLS, Cell, State
from legato.recurrent.generate import Sampler
from legato.recurrent.lookahead import Lookahead
from legato.recurrent.scan import Lookup
from legato.recurrent.stack import Stack

__all__ = ["CELLS", "Cell", "State", "Stack", "Lookup", "Lookahead", "Sampler"]
