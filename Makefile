# `make run` and `make test` need Python 3.11 and make; everything else is installed into .venv.
PYTHON ?= python3.11
UV_VERSION := 0.13.9
# Compiled once, while installing: where Python may not keep what it compiles, each process would.
export UV_COMPILE_BYTECODE := 1
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
DOCS_VENV := .venv-docs
DOCS_INSTALLED := $(DOCS_VENV)/installed
LIBRARY_VENV := .venv-library
LIBRARY_INSTALLED := $(LIBRARY_VENV)/$(notdir $(PYTHON))
# Five minutes: without the longest trainings, and what needs TFX or Kubernetes.
LIBRARY_TESTS ?= tests/adarec_tf tests/contracts tests/serving \
	$(addprefix --ignore=tests/,adarec_tf/distillation/test_distiller.py \
		adarec_tf/training/test_train_teacher.py adarec_tf/cli serving/test_model_server.py)
TESTS ?= tests
PYTEST_OPTIONS ?=
TEST_PROCESSES ?= 2
IMAGE ?= adarec-tf:latest
IMAGE_OPTIONS ?=

.PHONY: run install test test-all test-library check docs axe lock image clean

run: $(INSTALLED)
	$(BIN)/adarec run --scene sample

install: $(INSTALLED)

test: $(INSTALLED)
	$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadscope \
		--no-loadscope-reorder $(TESTS) $(PYTEST_OPTIONS)

# With what `make test` skips for its time or its downloads; what still is skipped lacks something.
test-all: $(INSTALLED)
	-$(BIN)/python -m tests.flink --fetch-only
	KUBEFLOW_BACKEND=1 ADAREC_EMULATE_SAMPLE=1 ADAREC_GUIDES=1 $(MAKE) test

# The library and serving with the newest versions and without TFX: PYTHON=python3.12, or later.
test-library: $(LIBRARY_INSTALLED)
	$(LIBRARY_VENV)/bin/python -m pytest -m "not slow and not e2e" \
		--numprocesses $(TEST_PROCESSES) --dist loadscope --no-loadscope-reorder \
		$(LIBRARY_TESTS) $(PYTEST_OPTIONS)

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy adarec_tf components pipeline serving

# The tables and the reference pages, from the stored results and the code; then the site.
docs: $(INSTALLED) $(DOCS_INSTALLED)
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -m tests.benchmarks.tables
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -m tests.reference_pages
	NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build --quiet --config-file docs/mkdocs.yml

# The rules of accessibility that tests of the report check, where npm is.
axe:
	npm install --silent --no-audit --no-fund --no-save --prefix build/axe axe-core@4.14.1

$(INSTALLED): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --requirement requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $(INSTALLED)

$(LIBRARY_INSTALLED): requirements-latest.lock pyproject.toml
	$(PYTHON) -m venv --clear $(LIBRARY_VENV)
	$(LIBRARY_VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(LIBRARY_VENV)/bin/uv pip install --quiet --python $(LIBRARY_VENV)/bin/python \
		--requirement requirements-latest.lock
	$(LIBRARY_VENV)/bin/uv pip install --quiet --python $(LIBRARY_VENV)/bin/python \
		--no-deps --no-build-isolation --editable .
	touch $(LIBRARY_INSTALLED)

$(DOCS_INSTALLED): requirements-docs.lock
	$(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(DOCS_VENV)/bin/uv pip install --quiet --python $(DOCS_VENV)/bin/python \
		--requirement requirements-docs.lock
	touch $(DOCS_INSTALLED)

# The image of every step on Kubeflow: see pipeline/kubeflow/README.md. Docker alone is needed.
image:
	DOCKER_BUILDKIT=1 docker build --file pipeline/kubeflow/image/Dockerfile --tag $(IMAGE) $(IMAGE_OPTIONS) .

# Exact versions, no addresses.
lock: $(INSTALLED)
	$(BIN)/uv pip compile pyproject.toml --extra kubeflow --extra baselines --extra dev --no-annotate --no-header \
		--python-version 3.11 --output-file requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra baselines --extra report --extra serving --extra tuning \
		--extra test --no-annotate --no-header --python-version 3.12 --output-file requirements-latest.lock
	$(BIN)/uv pip compile --group pyproject.toml:docs --no-annotate --no-header --python-version 3.11 \
		--output-file requirements-docs.lock

clean:
	rm -rf $(VENV) $(DOCS_VENV) $(LIBRARY_VENV) runs build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
