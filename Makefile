# Everything is done in an environment of its own, .venv, made with python3 alone.

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 7860
CATALOGUE ?=

VENV := .venv
BIN := $(VENV)/bin
PACKAGES := lyrics_model audio_model fusion data_prep app
# compileall writes bytecode even where PYTHONDONTWRITEBYTECODE is set.
COMPILE := $(BIN)/python -m compileall -q $(PACKAGES)

.DEFAULT_GOAL := help
.PHONY: help serve test check bench figures demo pin clean environment environment-train

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

serve: environment ## the web page on http://HOST:PORT (127.0.0.1:7860), offline
	@$(BIN)/maeum serve --host $(HOST) --port $(PORT) $(if $(CATALOGUE),--catalogue "$(CATALOGUE)")

test: environment-train ## all tests; those that need data that is not there say so
	$(BIN)/python -m pytest $(ARGS)

check: environment-train ## ruff, mypy --strict, and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_layering.py

bench: environment-train ## speed as ratios against reference libraries, in one run
	$(BIN)/python -m benchmarks.run

figures: environment-train ## measures everything (needs the data folder) and writes it into README.md
	$(BIN)/maeum evaluate lyrics --out docs/measured
	$(BIN)/maeum evaluate audio --out docs/measured
	$(BIN)/maeum evaluate audio --robustness --out docs/measured
	$(BIN)/maeum study fusion-weights --out docs/measured
	$(BIN)/maeum evaluate published --out docs/measured
	$(BIN)/maeum evaluate recommend --out docs/measured
	$(BIN)/python -m benchmarks.run --out docs/measured
	$(BIN)/python -m benchmarks.figures

demo: environment ## writes the demo catalogue from the data folder (MAEUM_DATA)
	$(BIN)/python -m data_prep.demo_songs .work/demo
	@mkdir -p app/demo
	$(BIN)/maeum index .work/demo/*.csv --catalogue app/demo/catalogue.db --no-paths

environment: $(VENV)/.serve ## .venv with what serving needs
	@$(COMPILE)

environment-train: $(VENV)/.train ## .venv with the extras train and dev as well
	@$(COMPILE)

# $(1): what to install, $(2): its constraints. uv where it can be had and works, else pip.
define install
	@echo "installing $(1) into $(VENV)"
	@if [ -x $(BIN)/uv ] && $(BIN)/uv pip install --quiet --python $(BIN)/python \
	    --compile-bytecode --constraint $(2) --editable "$(1)"; then :; else \
	  echo "uv did not do it: using pip"; \
	  $(BIN)/python -m pip install --quiet --constraint $(2) --editable "$(1)" && \
	  { $(BIN)/python -m compileall -q $(VENV)/lib || :; }; fi
endef

$(VENV)/.base:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "maeum needs Python 3.11 or newer; '$(PYTHON)' is" \
	       "$$($(PYTHON) --version 2>/dev/null || echo missing)." \
	       "Say which to use: make PYTHON=/path/to/python3.11 serve" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "could not make $(VENV): on Debian and Ubuntu, apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet uv || echo "uv cannot be had: pip will be used (slower)"
	@touch $@

$(VENV)/.serve: pyproject.toml constraints/serve.txt | $(VENV)/.base
	$(call install,.,constraints/serve.txt)
	@touch $@

$(VENV)/.train: pyproject.toml constraints/train.txt | $(VENV)/.base
	$(call install,.[train$(,)dev],constraints/train.txt)
	@touch $(VENV)/.serve $@

, := ,

pin: environment ## writes constraints/*.txt anew from the newest versions that fit
	@set -e; for name in serve train; do \
	  extras=; if [ $$name = train ]; then extras="--extra train --extra dev"; fi; \
	  $(BIN)/uv pip compile --quiet pyproject.toml $$extras --universal --python-version 3.11 \
	    --no-header --no-annotate --no-emit-index-url \
	    | sed 's/ *;.*//' | sort -u > constraints/$$name.txt; done

clean: ## removes .venv and everything that was built or cached
	rm -rf $(VENV) .work .mypy_cache .ruff_cache .pytest_cache build dist *.egg-info lightning_logs
	find $(PACKAGES) tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
