"""Looks at sealed test splits: who opened which split when, for which configuration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vidcls.errors import UserError, VidclsError
from vidcls.evaluate.ledger import Ledger, ledgers_of
from vidcls.run.find import find_runs
from vidcls.run.folder import Run
from vidcls.study.configurations import configuration_key, configuration_labels

_LEDGERS = "ledgers"


@dataclass(frozen=True)
class Look:
    """One opening of a test split.

    Attributes:
        when: Time in UTC, ISO 8601.
        who: User as `user@host`.
        run: Folder of the run, or of the fusion.
        configuration: Key of its configuration.
        label: Short text for the configuration.
        checkpoint: Checkpoint that was scored.
        repeated: Whether a stored result was shown again.
    """

    when: str
    who: str
    run: str
    configuration: str
    label: str
    checkpoint: str
    repeated: bool


@dataclass(frozen=True)
class SplitLooks:
    """Test split, and all looks at it.

    Attributes:
        ledger: Path of its ledger.
        manifest_hash: Hash of the manifest of the data.
        data: Root of the data; None if no run of it is there any more.
        looks: Readable looks, oldest first.
        num_looks: Number of looks, with those whose line cannot be read.
        num_configurations: Number of configurations that opened it, with one for each such line.
        num_repeats: Number of looks that showed a stored result again.
    """

    ledger: str
    manifest_hash: str
    data: str | None
    looks: tuple[Look, ...]
    num_looks: int
    num_configurations: int
    num_repeats: int

    @property
    def num_unreadable(self) -> int:
        """Number of lines that cannot be read."""
        return self.num_looks - len(self.looks)

    @property
    def since(self) -> str | None:
        """Day of the first readable look; None if there is none."""
        return self.looks[0].when[:10] if self.looks else None

    def as_dict(self) -> dict[str, Any]:
        """All attributes and properties as plain values for JSON."""
        return {**asdict(self), "num_unreadable": self.num_unreadable, "since": self.since}


def find_ledgers(place: Path | None) -> list[tuple[Ledger, list[Run]]]:
    """Ledgers of a place, each with the runs of its data that are there.

    Args:
        place: Run, folder of runs, store folder, spec file, or the file of one ledger; None for the runs
            below `runs` and the ledgers below `store` in the working folder.

    Raises:
        UserError: If the place has neither runs nor ledgers; or, for a spec, if its data cannot be read.
        VidclsError: If the provenance of a run is damaged.
    """
    if place is None:
        found = _with_store(find_runs(Path("runs")), Path("store"))
        if not found:
            raise UserError(
                "there are no runs below runs and no ledgers below store",
                hint="vidcls ledger WHERE: a run, a folder of runs, a spec file, or a store_dir",
            )
        return found
    if place.is_file():
        return [(Ledger(place), [])] if place.suffix == ".jsonl" else _of_spec(place)
    found = _with_store(find_runs(place), place)
    if not found:
        raise UserError(
            f"{place}: has neither runs nor ledgers of test splits",
            hint="name a run, a folder of runs, a spec file, or a store_dir",
        )
    return found


def _with_store(runs: Sequence[Run], store_dir: Path) -> list[tuple[Ledger, list[Run]]]:
    """Ledgers of runs, and those below a store that are not among them."""
    found = ledgers_of(runs)
    known = {ledger.path.resolve() for ledger, _ in found}
    others = [path for path in sorted((store_dir / _LEDGERS).glob("*.jsonl")) if path.resolve() not in known]
    return found + [(Ledger(path), []) for path in others]


def _of_spec(file: Path) -> list[tuple[Ledger, list[Run]]]:
    from vidcls.data.manifest import load_manifest
    from vidcls.spec.load import load_spec

    loaded = load_spec(file)
    store_dir = Path(loaded.spec.store_dir)
    with loaded.error_context():
        manifest = load_manifest(loaded.spec.data, cache_dir=store_dir)
    ledger = Ledger.of(manifest.hash, store_dir=store_dir)
    runs = [
        run
        for its, found in ledgers_of(find_runs(Path(loaded.spec.runs_dir)))
        for run in found
        if its.path.resolve() == ledger.path.resolve()
    ]
    return [(ledger, runs)]


def looks_at(ledger: Ledger, runs: Sequence[Run]) -> SplitLooks:
    """Read a ledger, and name the configurations in it.

    Args:
        ledger: Ledger of a test split.
        runs: Runs of the same data, for the names; runs that the ledger names are found without them.
    """
    openings = ledger.entries()
    named = [run for opening in openings if (run := Run(Path(opening.run))).spec_file.is_file()]
    labels, data = _names([*runs, *named], ledger)
    looks = tuple(
        Look(
            when=opening.when,
            who=opening.who,
            run=opening.run,
            configuration=opening.configuration,
            label=labels.get(opening.configuration) or _short(Path(opening.run)),
            checkpoint=opening.checkpoint,
            repeated=opening.repeated,
        )
        for opening in openings
    )
    return SplitLooks(
        ledger=str(ledger.path),
        manifest_hash=ledger.path.stem,
        data=data,
        looks=looks,
        num_looks=ledger.count,
        num_configurations=ledger.num_configurations,
        num_repeats=ledger.num_repeats,
    )


def _names(runs: Sequence[Run], ledger: Ledger) -> tuple[dict[str, str], str | None]:
    """Labels of configurations, and the root of the data; a damaged run names nothing."""
    one_of: dict[str, Run] = {}
    roots: Counter[str] = Counter()
    for run in runs:
        try:
            provenance = run.provenance()
            if provenance["manifest"]["hash"] != ledger.path.stem:
                continue  # a run of another place with the same relative path
            key = configuration_key(run)
            configuration_labels([run])
        except VidclsError:
            continue
        one_of.setdefault(key, run)
        roots[provenance["data_root"]] += 1
    labels = configuration_labels(list(one_of.values()))
    return labels, roots.most_common(1)[0][0] if roots else None


def _short(folder: Path) -> str:
    """Name for a configuration whose run is not there any more, or for a fusion."""
    return f"{folder.parent.name}/{folder.name}" if folder.parent.name else folder.name
