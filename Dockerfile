# The rebuilder in a container. Sandboxes inside a container need the container to be allowed to make user
# namespaces and to mount a fresh /proc; docs/operate.md names the flags and says what they cost.

FROM debian:trixie-slim AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN tools/install-python /opt/rebuilder requirements-service.lock

FROM debian:trixie-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends \
      python3 passwd git bubblewrap mmdebstrap libseccomp2 debian-archive-keyring ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --home-dir /var/lib/rebuilder --shell /usr/sbin/nologin rebuilder
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
