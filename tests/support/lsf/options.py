"""What the stand-in reads from the `#BSUB` lines of a job script; anything that LSF would refuse is refused."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

_WITH_VALUE = ("-J", "-q", "-app", "-P", "-U", "-W", "-n", "-R", "-gpu", "-wa", "-wt", "-Q", "-o", "-u")
_FLAGS = ("-r", "-rn", "-B", "-N")
_GPU = re.compile(r"num=[1-9]\d*(:(mode=(shared|exclusive_process)|gmodel=[\w-]+|mig=[1-9](/[1-9])?))*")
_NAME = re.compile(r"(?P<name>[\w.+-]+)(\[1-(?P<last>\d+)\](%(?P<throttle>\d+))?)?")
QUEUES = ("c02516", "hpc")


class RefusedError(Exception):
    """What bsub says when it does not take a job."""


@dataclass
class Options:
    """One job's request, in LSF's terms: minutes, and memory per core."""

    name: str = "job"
    last: int | None = None
    throttle: int | None = None
    queue: str = "hpc"
    cores: int = 1
    memory_mb_per_core: int | None = None
    gpu: str | None = None
    limit_min: float | None = None
    warn_signal: str | None = None
    warn_min: float = 0
    requeue_codes: list[int] = field(default_factory=list)
    log: str = "/dev/null"


def parse(script: str) -> Options:
    """Read the directives at the head of a script."""
    given: dict[str, str] = {}
    for line in script.splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("#BSUB"):
            continue
        option, *values = shlex.split(line[len("#BSUB") :])
        if option in _FLAGS and not values:
            given[option] = ""
        elif option in _WITH_VALUE and len(values) == 1:
            given[option] = values[0]
        else:
            raise RefusedError(f"{option}: Illegal option or bad argument. Job not submitted.")
    return _read(given)


def _read(given: dict[str, str]) -> Options:
    options = Options()
    name = _NAME.fullmatch(given.get("-J", "job"))
    if name is None:
        raise RefusedError(f"{given['-J']}: Bad job name. Job not submitted.")
    options.name, options.log = name["name"], given.get("-o", "/dev/null")
    options.last = int(name["last"]) if name["last"] else None
    options.throttle = int(name["throttle"]) if name["throttle"] else None
    options.queue = given.get("-q", options.queue)
    if options.queue not in QUEUES:
        raise RefusedError(f"{options.queue}: No such queue. Job not submitted.")
    options.cores = int(given.get("-n", "1"))
    memory = re.search(r"rusage\[mem=(\d+)MB\]", given.get("-R", ""))
    options.memory_mb_per_core = int(memory[1]) if memory else None
    options.gpu = given.get("-gpu")
    if options.gpu is not None and not _GPU.fullmatch(options.gpu):
        raise RefusedError(f"{options.gpu}: Bad GPU requirement. Job not submitted.")
    if "-W" in given:
        hours, _, minutes = given["-W"].rpartition(":")
        options.limit_min = 60 * int(hours or 0) + int(minutes)
    if ("-wa" in given) != ("-wt" in given):
        raise RefusedError("-wa and -wt go together. Job not submitted.")
    options.warn_signal, options.warn_min = given.get("-wa"), float(given.get("-wt", 0))
    options.requeue_codes = [int(code) for code in given.get("-Q", "").split()]
    return options
