# An image for clusters: glosstune with its requirements, and what KubeRay's manifests expect of it (docs/cluster.md).
#
#   docker build -t registry.example.org/me/glosstune:1 .
#   docker build --build-arg BASE=debian:bookworm-slim \
#       --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu -t registry.example.org/me/glosstune:cpu .
#
# BASE is any Debian or Ubuntu whose python3 is 3.11 or newer. torch brings CUDA's libraries itself, so the smallest of
# NVIDIA's images is enough.
ARG BASE=nvidia/cuda:12.8.1-base-ubuntu24.04

FROM ${BASE} AS environment
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# The compiler and Python's headers are for Triton, whose kernels are compiled when they first run; wget is what KubeRay
# asks a pod with whether it is healthy. Versions are those of the base.
# hadolint ignore=DL3008
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        ca-certificates gcc libc6-dev python3 python3-dev python3-venv wget \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/glosstune
ENV PATH=/opt/glosstune/bin:$PATH
# A login shell begins with another PATH.
# hadolint ignore=SC2016
RUN echo 'export PATH=/opt/glosstune/bin:$PATH' > /etc/profile.d/glosstune.sh

FROM environment AS wheel
COPY . /src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /dist /src

FROM environment
# The large layer first: it stays as it is when glosstune changes.
ARG TORCH=2.13.0
ARG TORCH_INDEX
# The version is pinned, by TORCH, which hadolint does not see.
# hadolint ignore=DL3013
RUN pip install --no-cache-dir "torch==${TORCH}" ${TORCH_INDEX:+--index-url "${TORCH_INDEX}"}
ARG EXTRAS=cluster,s3,hdf5
COPY constraints.txt /opt/glosstune/
COPY --from=wheel /dist /opt/glosstune/dist
RUN pip install --no-cache-dir -c /opt/glosstune/constraints.txt "$(echo /opt/glosstune/dist/*.whl)[${EXTRAS}]" \
    && rm -r /opt/glosstune/dist \
    && glosstune --version
# A number, by which Kubernetes sees that it is not root's (runAsNonRoot); 1000 is taken in Ubuntu's images.
ARG UID=10001
RUN useradd --create-home --uid "${UID}" glosstune
USER ${UID}
WORKDIR /home/glosstune
CMD ["glosstune", "--help"]
