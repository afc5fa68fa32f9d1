# The mock identity provider for a demo in containers. Build from the project's root:
#   docker build -f deploy/docker/idp-mock.Dockerfile -t idp-mock .
# Packages come from the index that pip is configured for, each checked against its hash.

FROM python:3.11-slim AS packages
COPY requirements/runtime.txt /tmp/runtime.txt
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --require-hashes --no-deps -r /tmp/runtime.txt

FROM python:3.11-slim
RUN useradd --system --uid 10001 --no-create-home idp
COPY --from=packages /opt/venv /opt/venv
COPY idp_mock /opt/idp-mock/idp_mock
WORKDIR /opt/idp-mock
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001
EXPOSE 9000
HEALTHCHECK --interval=5s --timeout=3s --retries=5 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9000/healthz', timeout=2)"]
# The container's own network is the boundary; publish the port on a loopback address only. SHOP_WEB_CLIENT_SECRET is required.
CMD ["python", "-m", "idp_mock", "run", "--host", "0.0.0.0", "--allow-public-bind", "--port", "9000", "--one-click"]
