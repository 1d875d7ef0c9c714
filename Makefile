# dcron: `make help` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
LAB ?= dcron
export LAB
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made-from
LOCK := requirements-dev.lock
STAGE := bin/stage
# Targets have an order: root is asked for before the venv is made, stages share two cores.
.NOTPARALLEL:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## make .venv with everything in it, pinned by a lock file with hashes

$(STAMP): $(LOCK) setup.py bin/make-venv
	@$(STAGE) venv bin/make-venv $(VENV) $(LOCK)
	@touch $@

demo: venv ## embedded mode: post a command, a script and a binary with curl, wait until they ran
	@$(STAGE) demo bin/demo

check: venv ## the fast part: ruff, mypy, unit tests
	@$(STAGE) ruff $(BIN)/ruff check .
	@$(STAGE) format $(BIN)/ruff format --check .
	@$(STAGE) mypy $(BIN)/mypy
	@$(STAGE) unit $(BIN)/python -m pytest -q tests/unit

test: check ## all tests; as root, those on lab hosts too: the lab itself, the whole stack
	@$(STAGE) packages bin/test-packages
	@$(STAGE) contract $(BIN)/python -m pytest -q tests/contract
	@$(STAGE) integration $(BIN)/python -m pytest -q tests/integration
	@$(STAGE) roles bin/lint-roles
	@$(STAGE) lab $(BIN)/python -m pytest -q tests/system/test_lab.py
	@$(STAGE) molecule bin/molecule-test

cluster-test: venv ## ask the deployed lab what the cluster promises (after make lab; cuts power)
	@bin/cluster-test tests/system/test_cluster.py tests/system/test_failover.py

lab: root venv ## boot five hosts and deploy the cluster on them (root)
	@bin/lab up
	@$(STAGE) deploy bin/deploy-lab
	@bin/lab write-env

molecule: root venv ## the whole stack from nothing: deploy, idempotence, verify, faults (root)
	@$(STAGE) molecule bin/molecule-test

root:
	@bin/need-root

chaos: venv ## load and faults on a lab of its own, and the checker's verdict (root; MINUTES=, SEED=, FAULTS=)
	@bin/chaos --minutes $(or $(MINUTES),15) --seed $(or $(SEED),1) $(if $(FAULTS),--faults $(FAULTS))

lab-down: ## remove the lab and all that it made
	@bin/lab down

lock: venv ## pin the dependencies anew
	@bin/make-locks $(BIN)

.PHONY: help venv demo check test cluster-test lab molecule chaos root lab-down lock
