# dcron: `make help` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
LAB ?= dcron
export LAB
# What makes and removes a lab of its own never takes the one that stands, unless it is named.
own = LAB=$(if $(filter file,$(origin LAB)),$(1),$(LAB))
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made-from
LOCK := requirements-dev.lock
STAGE := bin/stage
# A file's tests stay together: they share servers. One process more than cores, since some wait.
SPREAD := --numprocesses $(shell echo $$(( $$(nproc) < 4 ? $$(nproc) + 1 : 5 ))) --dist loadfile
PYTEST = $(BIN)/python -m pytest -q $(SPREAD)
# In the order given, so that the longest files are not the last: they are in the first folder.
NO_SERVERS = $(PYTEST) --no-loadscope-reorder tests/in_process tests/unit
# Targets have an order: root is asked for before the venv is made, stages share two cores.
.NOTPARALLEL:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## make .venv with everything in it, pinned by a lock file with hashes

$(STAMP): $(LOCK) setup.py bin/make-venv $(wildcard dcron_worker/runner/starter/*)
	@$(STAGE) venv bin/make-venv $(VENV) $(LOCK)
	@touch $@

demo: venv ## embedded mode: post a command, a script and a binary with curl, wait until they ran
	@$(STAGE) demo bin/demo

check: static ## the fast part: ruff, mypy, unit tests
	@$(STAGE) unit $(PYTEST) tests/unit

static: venv
	@$(STAGE) ruff $(BIN)/ruff check .
	@$(STAGE) format $(BIN)/ruff format --check .
	@$(STAGE) mypy $(BIN)/mypy

# What needs no server and no host comes last, beside faults on hosts that keep the cores half idle.
test: static ## all tests; as root, those on lab hosts too: the lab, the whole stack
	@$(STAGE) packages bin/test-packages
	@$(STAGE) servers $(PYTEST) tests/contract tests/integration
	@$(STAGE) lab $(BIN)/python -m pytest -q tests/system/test_lab.py
	@$(STAGE) molecule bin/molecule-test '$(STAGE) roles bin/lint-roles; code=$$?; $(STAGE) inside $(NO_SERVERS) && exit $$code'

explore: venv ## the protocol's machines by other random interleavings than in the tests, ten times as many
	@$(STAGE) explore $(BIN)/python -m pytest -q --hypothesis-profile=random \
		tests/in_process/test_protocol_machine.py tests/in_process/test_changes_machine.py \
		tests/in_process/test_partitions_machine.py

cluster-test: venv ## ask the deployed lab what the cluster promises (after make lab; cuts power, spoils databases)
	@bin/cluster-test tests/system/test_cluster.py tests/system/test_people.py \
		tests/system/test_execution.py tests/system/test_doctor.py \
		tests/system/test_address.py tests/system/test_failover.py tests/system/test_recover.py

lab: root venv ## boot five hosts and deploy the cluster on them (root)
	@bin/lab up
	@$(STAGE) deploy bin/deploy-lab
	@bin/lab write-env

molecule: root venv ## the whole stack from nothing: deploy, idempotence, verify, faults (root)
	@$(STAGE) molecule bin/molecule-test

root:
	@bin/need-root

chaos: venv ## load and faults on a lab of its own, and the checker's verdict (root; MINUTES=, SEED=, FAULTS=, PLAIN=1)
	@$(call own,chaos) $(STAGE) chaos bin/chaos --minutes $(or $(MINUTES),15) --seed $(or $(SEED),1) $(if $(FAULTS),--faults $(FAULTS))

bench-fire: root venv ## the cost of firing: bare crond against dcron, on a lab host of its own (root; SIZES=)
	@$(call own,bench) bin/bench-fire $(if $(SIZES),--sizes $(SIZES))

bench-api: root venv ## creates and reads in a second: bare bottle against dcron, on a lab host of its own (root; CLIENTS=)
	@$(call own,bench) bin/bench-api $(if $(CLIENTS),--clients $(CLIENTS))

bench-reconcile: venv ## ten thousand jobs on one worker: read, rendered, decided
	@PYTHONPATH=. $(BIN)/python -m bench.reconcile

bench-lists: venv ## pages of lists at 100,000 jobs and 10 million runs, on one MariaDB (JOBS=, RUNS=, FOLDER=)
	@bin/bench-lists $(if $(JOBS),--jobs $(JOBS)) $(if $(RUNS),--runs $(RUNS)) $(if $(FOLDER),--folder $(FOLDER))

lab-down: ## remove the lab and all that it made
	@bin/lab down

lock: venv ## pin the dependencies anew
	@bin/make-locks $(BIN)

.PHONY: help venv demo check static test explore cluster-test lab molecule chaos bench-fire bench-api \
	bench-reconcile bench-lists root lab-down lock
