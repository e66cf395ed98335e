# sslmed in a container. Mount a folder at /work: data, runs and results are written there.
#
#   docker build -t sslmed .                                                   # CPU
#   docker build -t sslmed --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 .   # NVIDIA GPU
#   docker run --rm --shm-size 2g -v "$PWD:/work" sslmed reproduce fig3        # add --gpus all for GPUs
ARG PYTHON=3.12
FROM python:${PYTHON}-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# torch first: it is the largest layer, and changes least.
WORKDIR /opt/sslmed
COPY constraints.txt ./
RUN pip install -c constraints.txt --index-url "${TORCH_INDEX}" --extra-index-url https://pypi.org/simple torch

COPY pyproject.toml README.md LICENSE ./
COPY sslmed sslmed
COPY configs configs
RUN pip install -c constraints.txt .

# Caches of libraries go where any user may write.
ENV HOME=/tmp MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /work
ENTRYPOINT ["sslmed"]
CMD ["--help"]
