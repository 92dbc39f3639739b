# The two commands of this repository are `make book` and `make test`; `make help` lists the rest.

PROFILE ?= quick
RUN ?= $(PROFILE)
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help book test env lock clean

help:
	@echo "make book    set up .venv, execute the notebooks, build the book, print its address"
	@echo "make test    set up .venv, lint, run the tests and the notebooks' own outputs (nbval)"
	@echo "make env     set up .venv alone; then $(BIN)/invnb --help, $(BIN)/jupyter lab notebooks"
	@echo "make lock    write requirements.txt anew from pyproject.toml"
	@echo "make clean   delete .venv and built pages; results and trained networks stay"
	@echo
	@echo "make book PROFILE=full RUN=mine ARGS=\"-p seeds '[0, 1]'\"   other settings, in results/mine"

# A notebook that fails must not keep the book from being built from what there is.
book: $(READY)
	@$(BIN)/invnb run --profile $(PROFILE) --out results/$(RUN) $(ARGS); ran=$$?; \
	if [ $$ran -gt 1 ]; then exit $$ran; fi; \
	$(BIN)/invnb build --run $(RUN) && exit $$ran

test: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python -m pytest
	OMP_WAIT_POLICY=PASSIVE PYTHONWARNINGS=error::RuntimeWarning $(BIN)/python -m pytest --nbval-lax --nbval-current-env \
		--nbval-cell-timeout=300 -p no:cacheprovider notebooks

env: $(READY)

# Made once, and completed where it was left unfinished or the versions have changed.
$(READY): requirements.txt pyproject.toml
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || { \
		for python in python3.11 python3 python none; do \
			$$python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2> /dev/null && break; \
		done; \
		if [ $$python = none ]; then \
			echo "error: Python 3.11 is needed, as python3.11, python3 or python on the PATH" >&2; exit 2; \
		fi; \
		echo "setting up $(VENV): some minutes and up to 6 GB the first time"; \
		$$python -m venv --clear $(VENV); \
	}
	@$(PIP) -r requirements.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

# uv resolves for all platforms at once. CUDA packages are left to torch's own wheel, which names
# the ones that fit it.
lock: $(READY)
	@set -e; work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; \
	$(BIN)/python -m venv $$work/venv; \
	$$work/venv/bin/python -m pip install --quiet uv; \
	cp -r pyproject.toml README.md invnb $$work; \
	$$work/venv/bin/uv export --quiet --project $$work --python $(BIN)/python --no-emit-project \
		--no-hashes --no-annotate --no-header --output-file $$work/all.txt > /dev/null; \
	{ echo "# Exact versions of what pyproject.toml asks for (Python 3.11), without torch's CUDA packages."; \
	  echo "# Regenerate with: make lock"; \
	  grep -vE '^(nvidia|cuda|triton)' $$work/all.txt; } > requirements.txt

clean:
	rm -rf $(VENV) _build .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
