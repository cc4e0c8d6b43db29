"""Data of a run: what it was trained on, refused if that has changed."""

from __future__ import annotations

from pathlib import Path

from vidcls.choices import Split
from vidcls.data.manifest import Manifest, load_manifest
from vidcls.data.user_dataset.manifest import with_test
from vidcls.errors import UserError
from vidcls.evaluate.ledger import ledger_of
from vidcls.run.folder import Run
from vidcls.spec.experiment import Spec
from vidcls.spec.fingerprint import targets_in
from vidcls.user_code.trust import kept_code


def data_of(run: Run, split: Split | None = None) -> tuple[Spec, Manifest]:
    """Spec of a run with absolute paths of its data, and the manifest of that data.

    Args:
        run: Run.
        split: Split that is read. For test, the manifest has the test items of a user's data set, if the
            ledger says that they were scored before.

    Raises:
        UserError: If the data is not the data of the training, or needs code that is not trusted.
        VidclsError: If the run's provenance is damaged.
    """
    spec, provenance = run.spec(), run.provenance()
    # The run stores the absolute path of its data, so this works from any folder.
    data = spec.data.with_root(provenance["data_root"])
    store_dir = Path(provenance["store_dir"])
    spec = spec.model_copy(update={"data": data, "store_dir": str(store_dir)})
    if data.target is None and not Path(data.root).exists():
        is_demo = Path(data.root).name == "motion10"
        again = (
            f"vidcls data demo {data.root}   makes the demo data again" if is_demo else "put it back there"
        )
        raise UserError(f"{run.folder}: its data {data.root} does not exist", hint=again)
    with kept_code(run.code_dir, targets_in(spec.data)):
        manifest = load_manifest(data, cache_dir=store_dir)
        if manifest.hash != provenance["manifest"]["hash"]:
            raise UserError(
                f"{run.folder}: {manifest.root} is no longer the data that this run was trained on",
                hint=f"vidcls data scan {manifest.root} shows the data; restore it, or train a new run",
            )
        if split == "test" and ledger_of(run).count:
            manifest = with_test(manifest, data, cache_dir=store_dir)
    return spec, manifest
