# The two commands: `make demo` and `make test`. Both set up what they need, once.
VENV := .venv
BIN  := $(VENV)/bin
# More than processors: most tests wait for containers and databases half of their time.
WORKERS ?= 4
# Compiled files are kept: without them every process that a test starts compiles us anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check fix docs lock bench bench-review clean
.DEFAULT_GOAL := check

demo: $(VENV)/.ready  ## A labelled issue becomes a verified draft pull request, on this machine. ARGS="--no-install" changes nothing outside.
	@$(BIN)/forgehand demo $(ARGS)

test: check  ## Everything: check, then all tests on a real engine, real git, real databases. PYTEST="-k word" narrows it.
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0 $(PYTEST)

check: $(VENV)/.ready  ## What every commit passes: lint, format, types, layers, generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m app.reference --check

fix: $(VENV)/.ready  ## Let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.ready  ## Write the generated pages again
	$(BIN)/python -m app.reference --write

lock: $(VENV)/.ready  ## Resolve pyproject.toml into requirements.lock (hashes, no index addresses)
	$(BIN)/python -m pip install -q --disable-pip-version-check uv
	$(BIN)/python -m uv pip compile -q --universal --python-version 3.11 --all-extras --generate-hashes \
		--no-emit-index-url --no-header -o requirements.lock pyproject.toml

bench: $(VENV)/.ready  ## Ratios, each measured against its floor in the same run
	$(BIN)/python -m tests.bench

bench-review: $(VENV)/.ready  ## Precision and recall of reviews on the seeded-bug set; OPENAI_BASE_URL: of that model. ARGS="python --json out.json"
	$(BIN)/python -m tests.bench.bench_review_set $(ARGS)

$(VENV)/.ready: requirements.lock pyproject.toml .ci/bootstrap
	@.ci/bootstrap

clean:  ## Remove the virtual environment and caches (not the Docker engine, not images)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
