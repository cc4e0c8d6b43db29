"""What was run: runs, code, data, hardware, time, looks at test; and the answers of a checklist."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from vidcls.evaluate.ledger import ledgers_of
from vidcls.run.folder import Run
from vidcls.study.compare.tables import Grid
from vidcls.study.report.document import Block, Section, Text
from vidcls.study.report.material import Material, Pool

_SHOWN_LOOKS = 30
_SHOWN_RUNS = 200


def record(material: Material) -> Section:
    """What was run, on which data and machines, and how long it took."""
    runs = material.runs
    provenances = [run.provenance() for run in runs]
    facts = [
        ("runs", str(len(runs))),
        ("code of vidcls", _counted(_last(each)["code"][:12] for each in provenances)),
        ("data (hash of its manifest)", _counted(each["manifest"]["hash"][:12] for each in provenances)),
        ("data root", _counted(each["data_root"] for each in provenances)),
        (
            "processor",
            _counted(f"{_last(each)['processor']} ({_last(each)['device']})" for each in provenances),
        ),
        ("precision", _counted(each["precision"] for each in provenances)),
        ("PyTorch", _counted(_last(each)["versions"].get("torch", "unknown") for each in provenances)),
        ("time of all trainings", _time(runs, provenances)),
        ("energy of the GPUs", _energy(runs)),
    ]
    blocks: list[Block] = [Grid("what was run", ("fact", "value"), tuple(facts)), _runs_grid(material)]
    blocks += _looks(runs)
    return Section("record", "What was run", tuple(blocks))


def checklist(material: Material) -> Section:
    """Answers that reproducibility checklists of conferences ask for, such as that of NeurIPS."""
    pool, request = material.pools[0], material.request
    provenances = [run.provenance() for run in material.runs]
    rows = (
        ("What do the intervals mean?", _intervals(pool)),
        ("How were seeds treated?", _seeds(pool)),
        ("Which p-values are corrected?", _corrected(pool)),
        ("On which data, and is it clean?", _data(material)),
        (
            "How were settings and epochs chosen?",
            f"The checkpoint is the {request.checkpoint!r} one of each run; `best` is the epoch with the"
            " highest top-1 on val. "
            + ("What was chosen on val and is scored on val is flattered." if request.split == "val" else ""),
        ),
        ("Was the test split looked at?", _test(material)),
        (
            "Which compute was used?",
            f"{_counted(_last(each)['processor'] for each in provenances)};"
            f" {_time(material.runs, provenances)}. Searches and failed runs that are not in this"
            " report are not counted.",
        ),
        (
            "Can it be repeated?",
            "Each run holds its spec with every default, its seed, digests of code, data and pretrained"
            " weights, and versions; with the same number of threads on the same machine, it ends in the same"
            " weights, bit for bit.",
        ),
    )
    return Section("checklist", "Reproducibility checklist", (Grid("answers", ("question", "answer"), rows),))


def _last(provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    return provenance["resumes"][-1] if provenance["resumes"] else provenance


def _counted(values: Iterable[str]) -> str:
    """Different values, the most frequent first, with their numbers if there are several."""
    count = Counter(values).most_common()
    if len(count) == 1:
        return count[0][0]
    return ", ".join(f"{value} ({num} runs)" for value, num in count)


def _time(runs: Iterable[Run], provenances: Iterable[Mapping[str, Any]]) -> str:
    """Hours of training on GPUs and on CPUs."""
    hours: Counter[str] = Counter()
    for run, provenance in zip(runs, provenances, strict=True):
        status = run.status()
        kind = "GPU" if str(_last(provenance)["device"]).startswith("cuda") else "CPU"
        hours[kind] += status.elapsed_s / 3600 if status else 0.0  # type: ignore[assignment]
    return ", ".join(f"{num:.3g} h on one {kind}" for kind, num in sorted(hours.items()))


def _energy(runs: Iterable[Run]) -> str:
    """Energy of all trainings, as far as a driver counted it."""
    counted = [status.energy_j if (status := run.status()) else None for run in runs]
    known = [joules for joules in counted if joules is not None]
    if not known:
        return "not known: no driver counted it"
    of = (
        ""
        if len(known) == len(counted)
        else f", of {len(known)} of {len(counted)} runs; no driver counted the rest"
    )
    return f"{sum(known) / 3.6e6:.3g} kWh{of}"


def _runs_grid(material: Material) -> Grid:
    rows = []
    for pool in material.pools:
        for configuration in pool.configurations:
            for seed, run in zip(configuration.seeds, configuration.runs, strict=True):
                status = run.status()
                rows.append(
                    (
                        configuration.label,
                        str(seed),
                        str(run.folder),
                        "-" if status is None or status.best_epoch is None else str(status.best_epoch),
                        "-" if status is None else str(status.epoch),
                        "-" if status is None else f"{status.elapsed_s:.3g}",
                    )
                )
    more = f", the first {_SHOWN_RUNS} of {len(rows)}" if len(rows) > _SHOWN_RUNS else ""
    columns = ("configuration", ">seed", "run", ">best epoch", ">epochs", ">training (s)")
    return Grid(f"runs{more}", columns, tuple(rows[:_SHOWN_RUNS]))


def _looks(runs: tuple[Run, ...]) -> list[Block]:
    blocks: list[Block] = []
    for ledger, _ in ledgers_of(runs):
        entries = ledger.entries()
        if not entries:
            continue
        rows = tuple(
            (entry.when, entry.who, entry.run, entry.checkpoint, "again" if entry.repeated else "scored")
            for entry in entries[-_SHOWN_LOOKS:]
        )
        more = f", the last {_SHOWN_LOOKS}" if len(entries) > _SHOWN_LOOKS else ""
        title = f"looks at the test split: {ledger.count} by {ledger.num_configurations} configurations{more}"
        blocks.append(Grid(title, ("when", "who", "run", "checkpoint", "what"), rows))
    return blocks or [Text(("The test split of this data was never opened.",))]


def _intervals(pool: Pool) -> str:
    if pool.evidence.unit == "groups":
        return (
            f"95 % confidence intervals over new seeds and new groups of videos as crossed random effects:"
            f" {len(pool.evidence.ids)} videos in {pool.evidence.num_groups} groups."
        )
    return (
        f"95 % confidence intervals over new seeds and new videos, {len(pool.evidence.ids)} of them; groups"
        " of videos are not known, so intervals are too short if videos are related."
    )


def _seeds(pool: Pool) -> str:
    nums = sorted({len(each.seeds) for each in pool.configurations})
    said = f"{nums[0]}" if len(nums) == 1 else f"{nums[0]} to {nums[-1]}"
    single = " A configuration with one seed speaks for that checkpoint only." if nums[0] == 1 else ""
    return f"{said} seed{'s' if nums[-1] > 1 else ''} of each configuration; all of them are shown.{single}"


def _corrected(pool: Pool) -> str:
    if pool.comparison is None or pool.comparison["num_comparisons"] == 1:
        return "None: there is at most one comparison."
    return f"Those of differences by Holm's method, over {pool.comparison['num_comparisons']} comparisons."


def _data(material: Material) -> str:
    states = ", ".join(dict.fromkeys(pool.leak_state for pool in material.pools))
    return (
        f"Leak state of the data: {states}. Clean means that no video of training is related to one that is"
        " scored, as far as groups, names or the content tell."
    )


def _test(material: Material) -> str:
    ledgers = ledgers_of(material.runs)
    count = sum(ledger.count for ledger, _ in ledgers)
    if not count:
        return "Never; all numbers are of val."
    num = sum(ledger.num_configurations for ledger, _ in ledgers)
    return f"{count} times, for {num} configurations, as the ledger of the data records."
