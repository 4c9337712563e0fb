"""One function over many items, in processes of their own: what one of them does, or dies of, harms no other.

The pools of ``multiprocessing`` and ``concurrent.futures`` end all work when a process is killed, without a word on
which item it was; they keep threads in the caller's process, and run its main script anew in each child.
"""

from medvision.workers.crew import Done as Done
from medvision.workers.crew import in_processes as in_processes
from medvision.workers.machine import available_bytes as available_bytes
from medvision.workers.machine import cores as cores
from medvision.workers.terms import Terms as Terms
