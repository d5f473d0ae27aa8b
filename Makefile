# Two commands do all the set-up: `make demo` and `make test`. Python 3.11 with venv is all they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
ARGS ?=

.PHONY: demo test format lint types contracts generated tests proto pages site lock fuzz endurance sbom clean

demo: $(VENV)/.runtime
	$(BIN)/python samples/demo.py $(ARGS)

test: format lint types contracts generated tests

format: $(VENV)/.development
	$(BIN)/ruff format --check .

lint: $(VENV)/.development
	$(BIN)/ruff check .

types: $(VENV)/.development
	$(BIN)/mypy

contracts: $(VENV)/.development
	$(BIN)/lint-imports

# Generates into a scratch folder and compares, so that a check never changes the checkout.
generated: $(VENV)/.development
	cd protos && ../$(BIN)/buf lint
	rm -rf $(VENV)/generated && mkdir $(VENV)/generated
	$(call protoc,$(VENV)/generated)
	diff -r -x __init__.py -x __pycache__ $(VENV)/generated/moderation/v1 moderation/v1

tests: $(VENV)/.development
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 3 --dist loadfile --no-loadscope-reorder --cases=var/cases.md
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=95
	$(BIN)/coverage report --fail-under=100 --include='moderation/core/*,moderation/service/*'

# Ten minutes for each; what is found lies in findings/.
fuzz: $(VENV)/.development
	for name in image policy request batch; do $(BIN)/python -m tests.fuzz $$name --seconds 600 || exit 1; done

# 100,000 requests for leaks, 100 kills of a server that records, 100 restarts and 100 kills of one of two.
endurance: $(VENV)/.development
	ENDURANCE_ROUNDS=200 TEST_KILLS=100 ROLLING_RESTARTS=100 $(BIN)/python -m pytest -s tests/e2e/test_endurance.py tests/e2e/test_decision_log_kills.py tests/e2e/test_rolling_restarts.py

# What a CPU installation consists of, with the digests that pip checks, as CycloneDX.
sbom: $(VENV)/.development
	$(BIN)/cyclonedx-py requirements requirements/cpu.lock --pyproject pyproject.toml --mc-type application --output-reproducible -o sbom.cdx.json

proto: $(VENV)/.development
	$(call protoc,.)

define protoc
	$(BIN)/python -m grpc_tools.protoc -Iprotos --python_out=$(1) --grpc_python_out=$(1) --pyi_out=$(1) protos/moderation/v1/moderation.proto
endef

# Pages that are made from the code; a test compares them.
pages: $(VENV)/.development
	$(BIN)/moderation config --markdown > docs/settings.md
	$(BIN)/python -m website.api_reference > docs/api-reference.md
	$(BIN)/python -m website.metrics_page > docs/metrics.md

# The documentation as a site, in var/site.
site: $(VENV)/.development
	$(BIN)/mkdocs --quiet build --strict

# The lock files pin everything by hash; edit pyproject.toml, then run this.
lock:
	$(PYTHON) -m venv $(VENV)/lock && $(VENV)/lock/bin/pip install --quiet uv
	$(VENV)/lock/bin/uv pip compile --generate-hashes --no-header --python-version 3.11 --no-emit-index-url --extra cpu --extra checkout --extra identity --extra encryption --extra tracing --extra tls --extra fetch --extra packages --extra s3 --extra gs pyproject.toml -o requirements/cpu.lock
	$(VENV)/lock/bin/uv pip compile --generate-hashes --no-header --python-version 3.11 --no-emit-index-url --extra cpu --extra checkout --extra dev pyproject.toml -o requirements/dev.lock

$(VENV)/.runtime: requirements/cpu.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements/cpu.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.development: requirements/dev.lock $(VENV)/.runtime
	$(PIP) install --require-hashes -r requirements/dev.lock
	touch $@

clean:
	rm -rf $(VENV) var
