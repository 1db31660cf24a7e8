"""A limit that the server does not state, discovered from what it accepts and refuses. Time is an argument (seconds, monotonic).

A refusal shows that the limit was used up when it came; what was accepted between two of these is what came back in that time.
"""

from .answer import Answer, Kept, Known, Phase
from .burst import UNLIMITED, Burst
from .ceiling import Ceiling
from .filling import Filling
from .shut import Shut, Trial
from .turning import Turning

__all__ = ["UNLIMITED", "Answer", "Burst", "Ceiling", "Filling", "Kept", "Known", "Phase", "Shut", "Trial", "Turning"]
