"""`vidcls glossary`: explains terms."""

from __future__ import annotations

from typing import Annotated

import typer

from vidcls.cli.common import AsJson, console, print_json
from vidcls.errors import UserError

WORDS = {
    "clip": "the frames that are sampled from a video, as one tensor for the model",
    "view": "one clip of a video at evaluation; the logits of all its views are averaged",
    "split": "train, val or test: train is for training, val for making choices, test for the final "
    "evaluation",
    "group": "videos that were cut from one source, such as one film; they must all be in one split",
    "spec": "the description of an experiment: one YAML file, with overrides from the command line",
    "fingerprint": "a short code computed from the data and all settings that change the result; part of "
    "the name of a run's folder",
    "configuration": "a spec without its seed; runs that differ only by their seed are repeats of one"
    " configuration, and `vidcls compare` compares configurations",
    "tie": "a difference that is not clear, where the evidence excludes one of more than 5 points, or of more"
    " than the margin that was asked for",
    "flattered": "a score that is too high because something was chosen by it: the best epoch, or the best of"
    " a sweep, is chosen on val, so its score on val is too high",
    "run": "one training, in one folder: its spec, metrics, checkpoints and reports",
    "store": "the decoded frames of a data set on disk; all runs that need the same frames share it",
    "residency": "where decoded frames are during training: on the GPU, in memory, mapped from disk, or"
    " streamed (decoded again in each epoch)",
    "leak": "a val or test video that is related to a train video, such as two parts of one film",
    "leak state": "what is known about leaks in a split: `clean`, `leaky` with the share of such videos, or"
    " `unknown`; `vidcls data audit` looks for leaks",
    "sealed": "the test split is sealed: no training and no sweep reads it, and each evaluation on it is"
    " recorded in the ledger",
    "ledger": "the file that records each evaluation on the test split: who, when, and which run;"
    " `vidcls ledger` shows it",
    "cross-fitted": "each video is scored with fusion weights that were chosen on videos of other groups, so"
    " the result is not too optimistic",
    "sweep": "a search over settings: many runs of one spec",
    "race": "a sweep over experiments instead of settings: each look compares all of them, and those that are"
    " clearly worse get no more seeds",
    "look": "one comparison of all experiments of a race, or one evaluation on the sealed test split",
    "trial": "one point of a sweep: one combination of settings, with one seed",
    "worker": "a process that trains the trials of a sweep one after the other",
    "lease": "the right of a worker to train a trial; it ends when the worker gives no sign of life"
    " for a while, and another worker continues from the checkpoint",
    "rung": "under --asha: a number of epochs after which only the best trials continue (arXiv:1810.05934)",
    "not promoted": "under --asha: a trial that waits at a rung because others there are better; it continues"
    " if it is among the best later",
    "requeue": "to queue a job again after it was saved before its time limit; exit code 75 asks for this",
    "early fusion": "frames are joined before the network sees them; late fusion joins their features after"
    " it",
}


def glossary(
    word: Annotated[str | None, typer.Argument(metavar="WORD", help="Word to explain; default: all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Explain the terms that messages and help texts use."""
    from difflib import get_close_matches

    from vidcls.cli.output.screen import Table

    words = WORDS
    if word is not None:
        found = get_close_matches(word.lower(), WORDS, n=1, cutoff=0.8)
        if not found:
            raise UserError(f"{word}: not in the glossary", hint="vidcls glossary shows all words")
        words = {found[0]: WORDS[found[0]]}
    if as_json:
        print_json(words)
        return
    table = Table("word", "what it means", box=None)
    for name, meaning in sorted(words.items()):
        table.add_row(name, meaning)
    console().print(table)
