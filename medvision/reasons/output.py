"""Why something is not de-identified, not run or not written, or told of."""

from __future__ import annotations

from collections.abc import Mapping

from medvision.reasons.reason import Reason

DEIDENTIFICATION: Mapping[str, Reason] = {
    "not-deidentifiable": Reason(
        "The object is of a kind that is not de-identified here.",
        "Its texts can name the patient in places that no rule knows.",
        "Leave it out: documents and plans need a person.",
    ),
    "burned-in-suspected": Reason(
        "Text seems to be burned into the pixels.",
        "A name in the picture stays, whatever the header says.",
        "Look at it; then --blank x,y,w,h or --blank-detected, or let it pass: --accept-burned-in.",
    ),
    "blank-outside": Reason(
        "A box to be made blank holds no pixel of the image.",
        "The box was meant for another size: the text that it should cover may stand elsewhere.",
        "Name boxes within the image; give images of another size to a run of their own.",
    ),
    "patient-ambiguous": Reason(
        "What tells patients apart stands for two of them.",
        "Two persons would become one, in a study that counts persons.",
        "Correct Patient ID, its issuer or the birth date at the source; or give each of them to a run of its own.",
    ),
    "patient-unmapped": Reason(
        "The mapping names no pseudonym for the patient.",
        "The patient would get another pseudonym than in the rest of the study.",
        "Add the patient to the mapping.",
    ),
}

RUNNING: Mapping[str, Reason] = {
    "usage": Reason(
        "The request cannot be carried out as worded.",
        "Something else than was meant would be done.",
        "See `--help` of the command.",
    ),
    "extra-missing": Reason(
        "An optional package is not installed.",
        "The request needs it.",
        "Install the extra that the message names.",
    ),
    "name-clash": Reason(
        "Two inputs would write to the same output name.",
        "One result would replace the other.",
        "Rename one, or run them separately.",
    ),
    "output-exists": Reason(
        "There is an output of this name already.",
        "Earlier work would be replaced.",
        "Choose another --out, or replace it with --force.",
    ),
    "output-unwritable": Reason(
        "The output cannot be written.",
        "Results would be lost.",
        "Check permissions and free space.",
    ),
    "busy": Reason(
        "Another run holds the output folder.",
        "Two runs would write into each other's results.",
        "Wait for it, or choose another folder.",
    ),
    "input-changed": Reason(
        "An input changed while, or after, it was analysed.",
        "The result would belong to no file that exists.",
        "Run again when the copy is complete.",
    ),
    "network-compiled": Reason(
        "Whether torch.compile makes a step on this GPU faster was measured.",
        "A compiled network rounds otherwise: weights differ a little from those of a training without it.",
        "Ask for --deterministic, which leaves it out, where two trainings are to be compared bit by bit.",
    ),
    "process-lost": Reason(
        "Another process of the same training failed.",
        "All of them compute every step together; one alone would train something else.",
        "Mend what the message says of that process; the same command goes on where the last epoch ended.",
    ),
    "worker-lost": Reason(
        "A process that worked on a case ended before the case was done.",
        "The case has no result; what other processes have done is whole.",
        "Mend what the message says; where memory may have run out, give fewer --workers. The same command goes on.",
    ),
    "worker-refused": Reason(
        "A worker of the cluster takes no part, or none came.",
        "Its results would not be those of this machine, or could not be written where they belong.",
        "Start workers in the same environment, with the same folders under the same paths; see their logs.",
    ),
    "scheduler-unreachable": Reason(
        "The Dask scheduler does not answer.",
        "Without it no worker can be given a case; cases that are done stay done.",
        "See whether it runs, and whether the address and the network let it be reached; then give the command again.",
    ),
    "slurm-refused": Reason(
        "Slurm does not take the jobs.",
        "No case can be analysed there.",
        "Correct the options that begin with --slurm; `sinfo` lists partitions and what they offer.",
    ),
    "out-of-memory": Reason(
        "Memory ran out while a case was worked on.",
        "The case has no result; no part of one is kept.",
        "Give fewer --workers, or end other programs; the same command goes on.",
    ),
    "memory-short": Reason(
        "A case would take more memory than there is, by what its headers say of its size.",
        "Analysed nevertheless, it could take the memory of all other programs of the machine, and be ended by it.",
        "Give it more by --max-memory, or a machine with more; or ask for an --engine that takes less.",
    ),
    "timed-out": Reason(
        "A case took longer than it may, or its process computed nothing any more.",
        "The case has no result; without an end it would have kept the others waiting for ever.",
        "See whether its files can be read to their end; give it more time: --max-minutes.",
    ),
    "disk-full": Reason(
        "The disk has no room for the results.",
        "Results would be lost.",
        "Make room, or choose an --out on another disk; the same command goes on.",
    ),
    "logger-failed": Reason(
        "A server or a file that keeps the figures of a training could not be written.",
        "The training goes on, and its own folder keeps all figures; that record of them is not whole.",
        "See whether the server runs and can be reached; `curves.csv` holds every row.",
    ),
    "values-rounded": Reason(
        "Values were rounded to fit the numbers of the file that was written.",
        "Small differences are lost.",
        "Write NIfTI to keep them exactly.",
    ),
    "internal": Reason(
        "There is a bug in medvision.",
        "The case was not analysed.",
        "Please report it.",
    ),
}
