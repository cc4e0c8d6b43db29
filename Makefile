# Everything sets itself up: the venv, the pinned packages, the demo data. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
LOGIN := .venv-login
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := data/motion10
EXPERIMENT ?= experiments/late_fusion.yaml
SWEEP ?= sweeps/lr_grid.yaml
SEEDS ?= 0 1 2
EPOCHS ?= 20
POSTER := poster

.PHONY: help train sweep poster hpc test test-fast lint schema docs bench gpu robust chaos mutate clean
.DEFAULT_GOAL := help

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-9s %s\n", $$1, $$2}'

train: $(READY) $(DEMO)  ## Set up, make the demo data, train EXPERIMENT (late fusion)
	$(BIN)/vidcls train $(EXPERIMENT)

sweep: $(READY) $(DEMO)  ## Launch SWEEP on the queue that is here, or as CLUSTER says
	$(BIN)/vidcls sweep launch $(SWEEP) $(if $(CLUSTER),--cluster $(CLUSTER))

# Data that leaks is split anew, by a fixed draw. Given again, the command goes on where it was stopped.
poster: $(READY)  ## Train the four strategies on DATA with each of SEEDS for EPOCHS; write table and figures to poster/
	@test -n "$(DATA)" || { echo "which data? make poster DATA=path/to/ufc10_frames"; exit 1; }
	@mkdir -p $(POSTER)
	@set -e; root="$(DATA)"; $(BIN)/vidcls data audit "$$root" > $(POSTER)/audit.txt || { \
	  root=$(POSTER)/clean_split.csv; $(BIN)/vidcls data split "$(DATA)" --out $$root --force; }; \
	for seed in $(SEEDS); do for strategy in frame_average late_fusion early_fusion cnn3d; do \
	  $(BIN)/vidcls train experiments/ufc10_$$strategy.yaml data.root="$$root" seed=$$seed \
	    train.epochs=$(EPOCHS) runs_dir=$(POSTER)/runs/$(EPOCHS)-epochs; done; done
	$(BIN)/vidcls compare $(POSTER)/runs/$(EPOCHS)-epochs --latex $(POSTER)/table.tex --csv $(POSTER)/table.csv --force
	$(BIN)/vidcls report $(POSTER)/runs/$(EPOCHS)-epochs --out $(POSTER)/report

# A light environment for the login node, whose home would not hold the full one.
hpc:  ## Build the venv of CLUSTER on its scratch, with its modules, and try it in its queue
	@test -n "$(CLUSTER)" || { echo "which cluster? make hpc CLUSTER=c02516, one of slurm/*.yaml"; exit 1; }
	$(PYTHON) -m venv $(LOGIN)
	$(LOGIN)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt pydantic pyyaml typer rich psutil
	$(LOGIN)/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	$(LOGIN)/bin/vidcls hpc $(CLUSTER)

test: $(READY)  ## Set up and run the tests (minutes)
	@# Most tests wait for other processes: three workers fill two cores.
	$(BIN)/pytest -q -n 3 --dist worksteal -m "not slow"

test-fast: $(READY)  ## For whoever changes one thing: a third of the time, no queue, no W&B server, no long trainings
	$(BIN)/pytest -q -n 3 --dist worksteal -m "not slow and not long"

lint: $(READY)  ## Format, lint, types, direction of imports, and whether the schema of specs is that of the code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	@$(BIN)/mypy --follow-imports=silent benchmarks/*.py docs/make_*.py
	$(BIN)/lint-imports
	@$(BIN)/vidcls spec schema | cmp -s - experiments/schema.json || \
	  { echo "experiments/schema.json is not that of the code: make schema"; exit 1; }
	@echo experiments/schema.json is that of the code

schema: $(READY)  ## Write the schema that editors complete specs from
	$(BIN)/vidcls spec schema > experiments/schema.json

docs: $(READY)  ## Build the documentation into build/docs, to be read without internet
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -d build/doctrees docs build/docs
	@echo open build/docs/index.html

bench: $(READY)  ## Every claim about speed and accuracy, each as a ratio in one run
	$(BIN)/python -m benchmarks

gpu: $(READY)  ## All that only a GPU can show, in minutes; on a CPU in small
	$(BIN)/python -m benchmarks.gpu

robust: $(READY)  ## The tests under other processors, precisions, threads and loads (an hour and more)
	$(BIN)/python -m tests.robustness

chaos: $(READY)  ## The long form of the kill tests, and ten thousand wrong files
	$(BIN)/pytest -q -n 2 --dist worksteal -m slow

mutate: $(READY)  ## Mutation testing of the numerics: which changes of them no test would notice (hours)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[mutate]'
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/mutmut run > mutants.log
	$(BIN)/python -m tests.mutation.report

clean:  ## Remove the venv and what tools cached; runs, stores and data stay
	rm -rf $(VENV) $(LOGIN) mutants mutants.log .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,docs,lite,export]'
	touch $@

$(DEMO): | $(READY)
	$(BIN)/vidcls data demo $@
