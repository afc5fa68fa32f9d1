# Two commands matter: `make demo` and `make test`. `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
# Tests wait more than they compute: somewhat more workers than cores.
TEST_WORKERS ?= 4
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-long lint fuzz bench mutants-policy pictures lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: .venv/.runtime ## Start the mock identity provider and the API with demo data (API_PORT, IDP_PORT)
	@exec $(BIN)/python -m secure_api demo

test: .venv/.test lint ## Run every check and test that this machine can run (REQUIRE_ALL=1: a missing part fails)
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile

lint: .venv/.test ## Style, types, security lint, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/bandit -q -c pyproject.toml -r secure_api idp_mock
	$(BIN)/lint-imports --no-cache

test-long: .venv/.test ## What is too long for `make test`: 2,000 random rule sets, then every seeded policy defect (needs PostgreSQL)
	POLICY_EXAMPLES=2000 $(BIN)/python -m pytest -s tests/policies/test_condition_equality.py
	$(MAKE) mutants-policy

mutants-policy: .venv/.test ## Put every seeded defect into the policy engine, one by one; writes docs/proof/policy-defects.md
	$(BIN)/python tests/policies/seeded_defects.py --write docs/proof/policy-defects.md

fuzz: .venv/.test ## Throw 300,000 broken tokens, proofs, headers and key sets at everything that reads them
	$(BIN)/python -m tests.fuzz

bench: .venv/.bench ## Measure the policy engine and token checks against their peers; writes docs/benchmarks/*.md
	$(BIN)/python -m benchmarks.policy
	$(BIN)/python -m benchmarks.tokens

pictures: .venv/.test ## Take the README's pictures anew, with the browser tests
	PICTURES=docs/pictures $(BIN)/python -m pytest tests/browser -k sqlite

lock: ## Compile requirements/*.txt with hashes and without index addresses (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header requirements/runtime.in -o requirements/runtime.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header -c requirements/runtime.txt requirements/test.in -o requirements/test.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header -c requirements/test.txt requirements/bench.in -o requirements/bench.txt

clean: ## Remove the virtual environment, caches and the demo's data
	rm -rf .venv .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis test-results *.egg-info

.venv/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11"; exit 2; }
	@echo "Making the virtual environment in .venv …"
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/.runtime: .venv/.python requirements/runtime.txt pyproject.toml
	@echo "Installing the pinned requirements …"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/runtime.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

.venv/.test: .venv/.runtime requirements/test.txt
	@echo "Installing the pinned test requirements …"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/test.txt
	@touch $@

.venv/.bench: .venv/.test requirements/bench.txt
	@echo "Installing the pinned benchmark requirements …"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/bench.txt
	@touch $@
