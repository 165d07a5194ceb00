# rag-operator: `make demo` shows it working, `make test` proves it, `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The system's own Python where there is one: on Debian 12 it is the Python of the images.
PYTHON  ?= $(firstword $(wildcard /usr/bin/python3.11) python3)
CLUSTER ?= bench
PARTS   ?= all
VENV    := .venv
BIN     := $(VENV)/bin
STAMP   := $(VENV)/.installed
BENCH   := $(PYTHON) -m tests.cluster --cluster $(CLUSTER)
IMAGES  ?=
PYTEST  ?= $(BIN)/pytest
UNIT    := $(PYTEST) tests/unit -n auto --dist loadfile
PACKAGES := operator workloads/contract workloads/jobs workloads/api workloads/indexer workloads/model_fetch workloads/model_server

##@ Start here
.PHONY: demo test help
demo: venv ## From nothing to a cited answer, a second release and back: cluster, images, operator, sample (CLUSTER=bench|kind|current)
	@$(BIN)/python -m tests.demo --cluster $(CLUSTER)

test: venv lint verify ## Everything that CI runs: lint, generated files, all tests (starts the bench when it is not running)
	@$(BENCH) up
	@$(BENCH) images
	@set -x; $(UNIT); unit=$$?; $(PYTEST) --ignore=tests/unit; exit $$((unit | $$?))

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "; printf "Usage: make <target>\n"} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-zA-Z_-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Cluster
.PHONY: cluster cluster-down cluster-env cluster-status images deploy undeploy
cluster: ## Start a real Kubernetes on this machine (PARTS=control-plane for no containers)
	@$(BENCH) up --parts $(PARTS)

cluster-down: ## Stop it and remove every trace of it
	@$(BENCH) down

cluster-env: ## Print KUBECONFIG and PATH: eval "$$(make -s cluster-env)"
	@$(BENCH) env

cluster-status: ## Say what runs, on which ports
	@$(BENCH) status

images: ## Build the project's images and put them on the node (IMAGES="api operator" for some)
	@$(BENCH) images $(IMAGES)

deploy: venv ## Install CRDs and the operator on the cluster
	@$(BIN)/python -m tests.demo --cluster $(CLUSTER) --deploy-only

undeploy: venv ## Remove the operator and the CRDs from the cluster, with all RagServices
	@$(BIN)/python -m tests.demo --cluster $(CLUSTER) --undeploy

##@ Development
.PHONY: venv run lint format unit verify manifests golden installer lock bench bench-control bench-rollback faults test-vllm mutants clean
venv: $(STAMP) ## Make .venv with everything, from the locked versions
$(STAMP): requirements/dev.lock requirements/bootstrap.lock $(PACKAGES:%=%/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: set PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { [ "$$(id -u)" = 0 ] && export DEBIAN_FRONTEND=noninteractive \
	    && { apt-get install -y -q python3-venv >/dev/null 2>&1 || { apt-get update -q && apt-get install -y -q python3-venv; } >/dev/null; }; } \
	  || { echo "The package python3-venv is needed: sudo apt-get install python3-venv"; exit 1; }
	@echo "making $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip sync -q --require-hashes requirements/dev.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/uv pip install -q --no-deps --no-build-isolation $(PACKAGES:%=-e %)
	@touch $@

run: venv ## Run the operator from the checkout against the current KUBECONFIG
	$(BIN)/rag-operator run

lint: venv ## Style, types, import contracts, size and purity rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.lint

format: venv ## Rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

unit: venv ## The tests that need no cluster
	$(PYTEST) -m "not control_plane and not node"

verify: venv ## Prove that the generated files are current
	@$(BIN)/rag-operator crd --directory crds --check
	@$(BIN)/python -m rag_operator.reference docs/api.md --check

manifests: venv ## Generate the CRDs and their reference from the models
	@$(BIN)/rag-operator crd --directory crds
	@$(BIN)/python -m rag_operator.reference docs/api.md

golden: venv ## Rewrite the golden files of the rendered children; review the diff
	RAG_GOLDEN_WRITE=1 $(PYTEST) tests/golden

DIST ?= dist
installer: ## Write dist/install.yaml: CRDs, rights, admission policies and operator in one file
	@mkdir -p $(DIST)
	@eval "$$($(BENCH) env)" && $${KUBECTL:-kubectl} kustomize config/default > $(DIST)/install.yaml.part
	@mv $(DIST)/install.yaml.part $(DIST)/install.yaml && echo "wrote $(DIST)/install.yaml"

lock: venv ## Resolve the locks anew
	@UV=$(BIN)/uv sh requirements/lock.sh

bench: venv ## Print the project's figures, measured on this machine
	$(BIN)/python -m tests.bench

bench-control: venv ## Print the figures of the control loop with 1,000 services beside a bare client's
	$(BIN)/python -m tests.bench.control

bench-rollback: venv ## Print how long going back takes on real containers under load, beside a Deployment's roll-out
	$(BIN)/python -m tests.bench.rollback

faults: venv ## Every plan of tests/faults: killed at each write, each reply spoilt, each watch broken
	FAULTS=all $(PYTEST) tests/faults

test-vllm: venv ## Real vLLM on this machine's CPU with a tiny model: about 6 GB are installed once, then minutes (opt-in)
	$(PYTEST) tests/vllm -m vllm

mutants: venv ## Break the code in every way of tests/mutants: each time a test has to notice (ONLY=name for one; starts the bench)
	$(BIN)/python -m tests.mutants $(if $(ONLY),--only $(ONLY))

clean: ## Remove the virtual environment and tool caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache .pytest_cache
