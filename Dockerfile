# One image for load, workers, watch and every `loadgen` command; docker-compose.yml runs them.
FROM python:3.13.7-slim-bookworm AS build
WORKDIR /build
ENV UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never PATH=/build/.tools/venv/bin:$PATH
COPY scripts/setup scripts/
RUN scripts/setup --uv
# What a run and its costs need, without the demo's embedded Postgres and local tools; each file by
# its hash.
COPY pyproject.toml requirements.lock requirements-dev.lock README.md LICENSE ./
RUN uv venv --python python3 /opt/playground
RUN uv pip install --python /opt/playground/bin/python --compile-bytecode --require-hashes -c requirements-dev.lock -r pyproject.toml --extra snowflake --extra aws --extra duckdb
COPY .env.example tools.example.toml thresholds.example.toml decision.example.toml ./
COPY loadgen loadgen
RUN uv build --wheel --build-constraints requirements-dev.lock --require-hashes
RUN uv pip install --python /opt/playground/bin/python --compile-bytecode --no-deps dist/simplyload_playground-*.whl

FROM python:3.13.7-slim-bookworm
RUN useradd --uid 1000 --create-home playground
COPY --from=build /opt/playground /opt/playground
COPY locustfile.py /opt/playground/
ENV PATH=/opt/playground/bin:$PATH LOCUST_LOCUSTFILE=/opt/playground/locustfile.py
# Any user may run it, also one that has no home here.
ENV HOME=/tmp MPLCONFIGDIR=/tmp PYTHONUNBUFFERED=1
# What is yours is mounted at /project: settings, limits, tools, weights. They may be missing.
WORKDIR /playground
RUN ln -s /project/.env /project/thresholds.toml /project/tools.toml /project/decision.toml . && mkdir reports && chown playground reports
USER playground
CMD ["loadgen", "--help"]
