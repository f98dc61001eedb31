# Realtime UI with its pages built. PUBLIC_URL, the address browsers use, goes into them.
FROM python:3.11-slim

RUN useradd --create-home --uid 10001 realtime && install -d -o realtime /app /data
WORKDIR /app

COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt

COPY --chown=realtime alembic.ini rxconfig.py ./
COPY --chown=realtime alembic alembic
COPY --chown=realtime assets assets
COPY --chown=realtime reflex.lock reflex.lock
COPY --chown=realtime realtime_ui realtime_ui

USER realtime
ARG PUBLIC_URL=http://localhost:3000
ENV PUBLIC_URL=$PUBLIC_URL HOST=0.0.0.0 PORT=3000 DATA_DIR=/data
RUN python -m realtime_ui build

EXPOSE 3000
VOLUME /data
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:3000/api/ready', timeout=4)"]
CMD ["python", "-m", "realtime_ui", "serve"]
