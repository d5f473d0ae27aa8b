# syntax=docker/dockerfile:1
# The service as an image: `docker build --target cpu .`, or `--target cuda` for NVIDIA cards.
#
# It runs as a user without rights, and with a read-only root: nothing is written but the log, to
# standard error, and to a volume the policy sets that were in force, embeddings of their texts, and
# what settings ask for. For a build that can be repeated, give the base by its digest:
# --build-arg BASE=python:3.11-slim-bookworm@sha256:...
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /app
WORKDIR /build
COPY requirements/cpu.lock requirements/
RUN /app/bin/pip install --require-hashes -r requirements/cpu.lock
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY moderation moderation
RUN /app/bin/pip install --no-deps --no-build-isolation . && /app/bin/python -m compileall -q /app/lib

# The two onnxruntime packages overwrite each other, so one goes before the other comes. The CUDA
# libraries come from PyPI as well; the driver comes from the host, by NVIDIA's container toolkit.
FROM build AS build-cuda
RUN /app/bin/pip uninstall --yes onnxruntime \
    && /app/bin/pip install 'onnxruntime-gpu[cuda,cudnn]==1.31.1' 'nvidia-ml-py==13.615.71'

FROM ${BASE} AS base
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin moderation \
    && install --directory --owner=10001 /var/lib/moderation
COPY policies /etc/moderation/policies
ENV PATH=/app/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    MODERATION_SERVER__HOST=0.0.0.0 \
    MODERATION_METRICS__HOST=0.0.0.0 \
    MODERATION_POLICIES__DIRECTORY=/etc/moderation/policies \
    MODERATION_POLICIES__STATE_DIRECTORY=/var/lib/moderation \
    MODERATION_POLICIES__CACHE_DIRECTORY=/var/lib/moderation/cache \
    MODERATION_ENCODER__STORE=/var/lib/moderation/bundles \
    MODERATION_ENCODER__ENGINE_CACHE=/var/lib/moderation/engines \
    MODERATION_SHADOW_ENCODER__DIRECTORY=/var/lib/moderation/encoder-pairs \
    MODERATION_RECENT__DIRECTORY=/var/lib/moderation/recent \
    MODERATION_LOG__FORMAT=json
VOLUME /var/lib/moderation
USER 10001:10001
EXPOSE 50051 9464
# It ends with 69, which Docker takes for unhealthy, until encoder and policies are ready. It asks
# beside the metrics, so that it needs no certificate where the server wants to see one.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["moderation", "health"]
ENTRYPOINT ["moderation"]
# Without certificates (MODERATION_TLS__CERTIFICATE_FILE, docs/tls.md) the server speaks plain text:
# publish its port only where the network, or a proxy, protects it.
CMD ["serve", "--insecure"]

FROM base AS cuda
COPY --from=build-cuda /app /app
ENV MODERATION_ENCODER__DEVICE=cuda \
    LD_LIBRARY_PATH=/app/lib/python3.11/site-packages/nvidia/cu13/lib:/app/lib/python3.11/site-packages/nvidia/cudnn/lib \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM base AS cpu
COPY --from=build /app /app
