"""What is known of a batch: which cases are done, what failed and why, who holds the folder, and a log."""

from medvision.batch.entry import Entry as Entry
from medvision.batch.entry import State as State
from medvision.batch.hold import holding as holding
from medvision.batch.hold import require_writable as require_writable
from medvision.batch.joining import ShardState as ShardState
from medvision.batch.joining import require_whole as require_whole
from medvision.batch.joining import shards_in as shards_in
from medvision.batch.joining import states_of as states_of
from medvision.batch.ledger import Ledger as Ledger
from medvision.batch.ledger import hashes_of as hashes_of
from medvision.batch.log import Log as Log
from medvision.batch.memory import forget_peak_memory as forget_peak_memory
from medvision.batch.memory import peak_memory_mb as peak_memory_mb
from medvision.batch.shard import Shard as Shard
