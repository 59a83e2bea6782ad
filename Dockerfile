# Images of the clinic: `api` without torch or a queue, `dispatcher` with the queue, `worker` with torch as well.
# There is nothing to build: the rooms are run from /app as they are.
FROM python:3.12-slim AS base
ENV PYTHONPATH=/app PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore TMPDIR=/data
WORKDIR /app
# One user in every image, so that all of them can write to a shared volume. Uploads wait there too while they are
# checked: /tmp is memory under compose.
RUN useradd --uid 10001 --no-create-home clinic && install -d -o clinic -g clinic /data

FROM base AS api
COPY requirements/api.txt requirements/
# What no room loads goes at once: the libraries' own tests, and of Arrow what speaks to networks and its headers.
RUN pip install --no-deps -r requirements/api.txt \
    && cd "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
    && find . -type d -name tests -prune -exec rm -r {} + \
    && (cd rinoh_typeface_dejavusans && find . -type f ! -name DejaVuSans.ttf ! -name LICENSE -delete) \
    && cd pyarrow && rm -r include src *_flight* *_s3*
COPY alembic.ini pyproject.toml ./
COPY alembic alembic
COPY gradient_clinic gradient_clinic
COPY models models
COPY api api
USER clinic
EXPOSE 8000
CMD ["python", "-m", "api"]

FROM base AS dispatcher
COPY requirements/worker.txt requirements/
RUN pip install --no-deps -r requirements/worker.txt \
    && cd "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
    && find . -type d -name tests -prune -exec rm -r {} +
COPY gradient_clinic gradient_clinic
COPY models models
COPY worker worker
USER clinic
CMD ["python", "-m", "worker.dispatcher"]

FROM dispatcher AS worker
# Where torch comes from decides between CPU and CUDA, as in the Makefile.
ARG TORCH_PIP_ARGS=""
USER root
COPY requirements/sdists.txt requirements/torch.txt requirements/
RUN pip install --no-deps --no-build-isolation --use-pep517 -r requirements/sdists.txt
RUN pip install ${TORCH_PIP_ARGS} -r requirements/torch.txt
# What an operator adds (docs/plugins.md): packages, with all that they need and is not here, and those whose code is loaded.
ARG PLUGINS=""
ARG CLINIC_PLUGINS=""
RUN [ -z "${PLUGINS}" ] || pip install --no-deps ${PLUGINS}
ENV CLINIC_PLUGINS=${CLINIC_PLUGINS}
# Where the reductions of gradient_clinic/probe/meters/kernels.py are kept once compiled, for this machine's processor.
ENV NUMBA_CACHE_DIR=/tmp/numba
USER clinic
CMD ["python", "-m", "worker"]
