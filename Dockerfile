# One target per image: operator, api, indexer, model-fetch, model-server. All run as uid 10001 with a read-only root filesystem.
#
# PYTHON_IMAGE is any Debian-like image with Python 3.11 and its venv module; the bench passes one made on the spot.
# No `# syntax=` line and no BuildKit-only instruction: Docker Engine 20.10 builds this with either builder.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG VLLM_IMAGE=vllm/vllm-openai:v0.32.0

FROM ${PYTHON_IMAGE} AS tools
COPY requirements/bootstrap.lock /build/requirements/
RUN python3 -m venv /build/tools \
 && /build/tools/bin/pip install --quiet --disable-pip-version-check --no-cache-dir --require-hashes -r /build/requirements/bootstrap.lock
ENV PATH=/build/tools/bin:$PATH UV_NO_CACHE=1 UV_LINK_MODE=copy
WORKDIR /build

# Dependencies first, then the contract, then the program: an edit of the program rebuilds the last layer alone.
FROM tools AS operator-build
COPY requirements/operator.lock requirements/
RUN python3 -m venv --without-pip /opt/rag \
 && uv pip install --quiet --python /opt/rag --compile-bytecode --require-hashes -r requirements/operator.lock
COPY workloads/contract workloads/contract
COPY operator operator
RUN PATH=/opt/rag/bin:$PATH uv pip install --quiet --python /opt/rag --compile-bytecode --no-deps --no-sources --no-build-isolation ./workloads/contract ./operator

FROM tools AS api-build
COPY requirements/api.lock requirements/
RUN python3 -m venv --without-pip /opt/rag \
 && uv pip install --quiet --python /opt/rag --compile-bytecode --require-hashes -r requirements/api.lock
COPY workloads/contract workloads/contract
COPY workloads/api workloads/api
RUN PATH=/opt/rag/bin:$PATH uv pip install --quiet --python /opt/rag --compile-bytecode --no-deps --no-sources --no-build-isolation ./workloads/contract ./workloads/api

FROM tools AS indexer-build
COPY requirements/indexer.lock requirements/
RUN python3 -m venv --without-pip /opt/rag \
 && uv pip install --quiet --python /opt/rag --compile-bytecode --require-hashes -r requirements/indexer.lock
COPY workloads/contract workloads/contract
COPY workloads/jobs workloads/jobs
COPY workloads/indexer workloads/indexer
RUN PATH=/opt/rag/bin:$PATH uv pip install --quiet --python /opt/rag --compile-bytecode --no-deps --no-sources --no-build-isolation ./workloads/contract ./workloads/jobs ./workloads/indexer

# sync: the lock leaves out a dependency of the hub's library that is not used (requirements/overrides.in).
FROM tools AS model-fetch-build
COPY requirements/model-fetch.lock requirements/
RUN python3 -m venv --without-pip /opt/rag \
 && uv pip sync --quiet --python /opt/rag --compile-bytecode --require-hashes requirements/model-fetch.lock
COPY workloads/contract workloads/contract
COPY workloads/jobs workloads/jobs
COPY workloads/model_fetch workloads/model_fetch
RUN PATH=/opt/rag/bin:$PATH uv pip install --quiet --python /opt/rag --compile-bytecode --no-deps --no-sources --no-build-isolation ./workloads/contract ./workloads/jobs ./workloads/model_fetch

FROM ${PYTHON_IMAGE} AS runtime
ENV PATH=/opt/rag/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /
USER 10001:10001

FROM runtime AS operator
# One malloc arena: the process is one busy thread and an idle one, and arenas keep what they once held.
ENV MALLOC_ARENA_MAX=1 MALLOC_TRIM_THRESHOLD_=131072
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="rag-operator" \
      org.opencontainers.image.description="Turns RagService objects into RAG serving stacks on Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=operator-build /opt/rag /opt/rag
EXPOSE 8080 8081
ENTRYPOINT ["rag-operator"]
CMD ["run"]

FROM runtime AS api
ARG VERSION=0.1.0
ARG REVISION=unknown
ENV RAG_IMAGE_VERSION=${VERSION} RAG_IMAGE_REVISION=${REVISION}
LABEL org.opencontainers.image.title="rag-api" \
      org.opencontainers.image.description="RAG API: retrieval and cited answers over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=api-build /opt/rag /opt/rag
EXPOSE 8000
ENTRYPOINT ["python", "-m", "rag_api"]

FROM runtime AS indexer
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="rag-indexer" \
      org.opencontainers.image.description="Builds and verifies one index collection in Qdrant" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=indexer-build /opt/rag /opt/rag
EXPOSE 8001
ENTRYPOINT ["python", "-m", "rag_indexer"]
CMD ["build"]

FROM runtime AS model-fetch
# One malloc arena: the threads only pass chunks on, and arenas keep what they once held.
ENV MALLOC_ARENA_MAX=1 HF_HOME=/tmp/hub HF_HUB_DISABLE_TELEMETRY=1 HF_HUB_DISABLE_PROGRESS_BARS=1 HF_HUB_DISABLE_UPDATE_CHECK=1
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="rag-model-fetch" \
      org.opencontainers.image.description="Downloads the weights of one model into the model cache" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=model-fetch-build /opt/rag /opt/rag
EXPOSE 8002
ENTRYPOINT ["python", "-m", "rag_model_fetch"]

# vLLM's own image with the launcher beside it. What the launcher needs (aiohttp, pydantic) vLLM has already: nothing is added to its
# Python but two packages of a few files, and a version that is too old for them fails this build.
FROM ${VLLM_IMAGE} AS model-server
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="rag-model-server" \
      org.opencontainers.image.description="vLLM behind a launcher that checks, proves, watches, drains and says why it ended" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY workloads/contract/rag_contract /opt/rag-model-server/rag_contract
COPY workloads/model_server/rag_model_server /opt/rag-model-server/rag_model_server
ENV PYTHONPATH=/opt/rag-model-server PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN python3 -c 'import rag_model_server.__main__'
USER 10001:10001
EXPOSE 8000 8003
ENTRYPOINT ["python3", "-m", "rag_model_server"]
