# The two commands of the README are `make demo` and `make test`; `make check` is what has to pass before a change.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

# The first interpreter that is new enough; `make PYTHON=/path/to/python3.11 demo` chooses another.
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
VENV ?= .venv
# torch is installed first and by itself, so that its build can be chosen. Elsewhere a plain `torch` on Linux brings the
# CUDA build (gigabytes); docs/how_to/cpu_torch.md says how to get the small one with this variable.
TORCH ?= torch==2.13.0
# Parallel test processes; each computes on one thread, so that they do not fight over the cores.
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 4 ? n : 4)))

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# A stamp says that an installation is finished. While it is newer than what it was made from, no command below
# touches the network.
MADE_FROM := pyproject.toml constraints.txt

.PHONY: demo test check bench docs constraints clean help

help:
	@echo "make demo         install, fine-tune on the embedded data set, write a bundle and its report"
	@echo "make test         install what the tests need, run them"
	@echo "make check        format, lint, types, import contracts, documentation"
	@echo "make bench        fill the missing cells of the benchmarks and rebuild their pages"
	@echo "make docs         write the reference pages and build the documentation into site/"
	@echo "make constraints  resolve all extras afresh and write constraints.txt"
	@echo "make clean        remove what was built; the environment in $(VENV) stays"

demo: $(VENV)/.run
	$(BIN)/tapereader demo

test: $(VENV)/.dev
	OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(PYTEST_ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

docs: $(VENV)/.dev
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

constraints: $(VENV)/bin/python
	rm -rf build/constraints
	$(BIN)/python -m venv build/constraints
	build/constraints/bin/python -m pip --disable-pip-version-check install "$(TORCH)"
	build/constraints/bin/python -m pip --disable-pip-version-check install ".[train,chinese,openvino,report,dev]"
	build/constraints/bin/python -m pip check
	{ echo "# Versions that were installed and tested together. Written by \`make constraints\`; do not edit."; \
	  build/constraints/bin/python -m pip freeze --exclude tapereader | sed -E 's/^(torch==[^+]*)\+.*/\1/' | sort -f; \
	} > constraints.txt.tmp
	! grep -nE '@ |^-e|\+' constraints.txt.tmp
	mv constraints.txt.tmp constraints.txt
	rm -rf build/constraints

clean:
	rm -rf build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and was not found; name one: make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.torch: constraints.txt | $(VENV)/bin/python
	$(PIP) install -c constraints.txt $(TORCH)
	touch $@

$(VENV)/.run: $(MADE_FROM) $(VENV)/.torch
	$(PIP) install -c constraints.txt -e ".[train,report]"
	touch $@

$(VENV)/.dev: $(MADE_FROM) $(VENV)/.torch
	$(PIP) install -c constraints.txt -e ".[train,report,dev]"
	touch $@ $(VENV)/.run
