# `make help` lists the targets. Everything runs in .venv, which `make setup` fills from constraints.txt.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Variables of reproduce-*. The others default to the preset or the machine.
DATA ?= phantom
PRESET ?= quick
OUT ?= results
RUNS ?= runs
EXECUTOR ?= local
WANDB ?= disabled
SIZE ?= quick
OPTIONS = --data "$(DATA)" --preset "$(PRESET)" --out "$(OUT)" --runs "$(RUNS)" --executor $(EXECUTOR) --wandb $(WANDB) \
  $(if $(POOL),--pool "$(POOL)") $(if $(SOURCE),--source "$(SOURCE)") $(if $(ARMS),--arms $(ARMS)) $(if $(ENCODER),--encoder $(ENCODER)) $(if $(FINETUNING),--finetuning $(FINETUNING)) \
  $(if $(FRACTIONS),--fractions $(FRACTIONS)) $(if $(LABELS),--labels $(LABELS)) $(if $(FOLDS),--folds $(FOLDS)) \
  $(if $(PROBES),--probes) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(JOBS),--jobs $(JOBS)) $(if $(DEVICES),--devices $(DEVICES)) $(if $(PROFILE),--profile "$(PROFILE)")

.DEFAULT_GOAL := help
.PHONY: help setup reproduce-fig2 reproduce-fig3 reproduce-fig4 test-fast test test-all lint docs notebook benchmark clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "%-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Create .venv with the pinned versions and install sslmed

$(READY): pyproject.toml constraints.txt
	@echo "installing sslmed and the pinned versions of its libraries into $(VENV): some GB, which takes minutes the first time"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@# nnU-Net's network, for tests; what it asks for would break a torch for CPUs, and is not used
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps dynamic-network-architectures==0.4.4
	@touch $(READY)

reproduce-fig2: $(READY) ## Figure 2: brain tumour segmentation in multi-channel MRI (variables as for Figure 3)
	$(BIN)/sslmed reproduce fig2 $(OPTIONS)

reproduce-fig3: $(READY) ## Figure 3: pancreas tumour segmentation in CT (DATA= POOL= SOURCE= PRESET= ARMS= ENCODER= FINETUNING= FRACTIONS= LABELS= FOLDS= SEEDS= JOBS= DEVICES= PROBES= EXECUTOR= PROFILE= WANDB= OUT= RUNS=)
	$(BIN)/sslmed reproduce fig3 $(OPTIONS)

reproduce-fig4: $(READY) ## Figure 4: grading of diabetic retinopathy in fundus photographs (variables as for Figure 3)
	$(BIN)/sslmed reproduce fig4 $(OPTIONS)

PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test-fast: $(READY) ## Run the tests that take a second or less each, of all parts
	$(PYTEST) -m "not slow and not long" $(ARGS)

test: $(READY) ## Run all tests except the longest, two files in parallel
	$(PYTEST) -m "not long" $(ARGS)

test-all: $(READY) ## Run all tests, including twenty kills, a SLURM cluster, and simulated and trained null arms
	$(PYTEST) $(ARGS)

lint: $(READY) ## Check style, types, the layers of the package, and the Dockerfile
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

docs: $(READY) ## Build the site from docs/ into site/
	$(BIN)/zensical build --strict

notebook: $(READY) ## Convert docs/notebooks/first_curve.py to first_curve.ipynb, for Jupyter and Colab
	$(BIN)/jupytext --to ipynb --output first_curve.ipynb docs/notebooks/first_curve.py

benchmark: $(READY) ## Measure speed and memory against a straightforward reference, in 10 minutes on 2 cores (SIZE=quick|full OUT= ARGS="--only tasks")
	$(BIN)/python scripts/benchmark.py --size $(SIZE) --json "$(OUT)/benchmark-$(SIZE).json" $(ARGS)

clean: ## Remove the environment and caches, but not data, runs and results
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
