# The page and the HTTP interface, with what serving needs and nothing else; see docs/deployment.md.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
# train.txt pins the extras as well; it installs nothing by itself.
ARG EXTRAS=postgresql,mcp
WORKDIR /build
RUN python -m venv /opt/maeum
COPY pyproject.toml README.md LICENSE maeum.py ./
COPY constraints constraints
COPY data_prep data_prep
COPY lyrics_model lyrics_model
COPY audio_model audio_model
COPY fusion fusion
COPY app app
RUN /opt/maeum/bin/pip install --no-cache-dir --constraint constraints/train.txt ".${EXTRAS:+[${EXTRAS}]}"

FROM python:${PYTHON}-slim
RUN groupadd --gid 10001 maeum \
    && useradd --uid 10001 --gid maeum --no-create-home --home-dir /data maeum \
    && install --directory --owner maeum --group maeum /data
COPY --from=build /opt/maeum /opt/maeum
# The user's own catalogue is /data/maeum/catalogue.db, the demo where there is none.
# Telemetry of libraries is off in the code too; here it is off for whatever else is run.
ENV PATH=/opt/maeum/bin:$PATH \
    ORT_DISABLE_TELEMETRY=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/data \
    XDG_DATA_HOME=/data
VOLUME /data
WORKDIR /data
USER 10001:10001
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import http.client as h, sys; c = h.HTTPConnection('127.0.0.1', 7860, timeout=4); c.request('GET', '/health'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["maeum"]
CMD ["serve", "--host", "0.0.0.0", "--port", "7860", "--log", "json"]
