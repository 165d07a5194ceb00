#!/bin/sh
# Rewrites the lock files: names, versions and hashes, no download addresses. Usage: make lock
set -eu
cd "$(dirname "$0")/.."
case "${UV:=uv}" in */*) UV=$(cd "$(dirname "$UV")" && pwd)/$(basename "$UV") ;; esac
compile() { # output, inputs...
    out=$1; shift
    "$UV" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
        --no-emit-package rag-contract --no-emit-package rag-jobs --no-emit-package rag-api --no-emit-package rag-indexer --no-emit-package rag-model-fetch --no-emit-package rag-model-server --no-emit-package rag-operator \
        --override requirements/overrides.in --no-emit-package hf-xet \
        --output-file "requirements/$out.lock" "$@"
    echo "requirements/$out.lock"
}
compile operator operator/pyproject.toml requirements/build.in
compile api workloads/api/pyproject.toml requirements/build.in
compile indexer workloads/indexer/pyproject.toml requirements/build.in
compile model-fetch workloads/model_fetch/pyproject.toml requirements/build.in
compile dev operator/pyproject.toml workloads/api/pyproject.toml workloads/indexer/pyproject.toml workloads/model_fetch/pyproject.toml \
    requirements/dev.in
compile bootstrap requirements/bootstrap.in --constraint requirements/dev.lock
(cd tests/qdrant_standin && "$UV" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
    --no-header -c ../../requirements/dev.lock --output-file requirements.lock requirements.in)
echo tests/qdrant_standin/requirements.lock
(cd tests/model_server_double && "$UV" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
    --no-header -c ../../requirements/dev.lock --output-file requirements.lock requirements.in)
echo tests/model_server_double/requirements.lock
(cd tests/vllm && "$UV" pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
    --no-header --override overrides.in --output-file requirements.lock requirements.in)
echo tests/vllm/requirements.lock
