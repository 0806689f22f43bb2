# Ringleader as an image: Node on slim Debian, the compiled proxy, and the packages that it needs to run. Nothing else: no compiler,
# no scripts of the checkout. It writes nothing, needs no root, and runs on a read-only file system. docs/OPERATIONS.md says how.
#
#   docker build -t ringleader .
#   docker run --read-only -v ./ringleader.yml:/etc/ringleader/ringleader.yml:ro -p 6380:6380 ringleader

# The newest line of Node with long-term support: on it a command costs a third less than on Node 20.
ARG NODE_IMAGE=node:26-trixie-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /build
# Before the sources, so that a change of these does not install the packages anew. Packages' own scripts are not run: koffi
# brings its binary ready made, for this platform only.
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json ./
COPY src src
RUN node node_modules/typescript/bin/tsc -p . --incremental false --sourceMap false

FROM ${NODE_IMAGE} AS packages
WORKDIR /packages
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund
# What only people and compilers read, and koffi's binary for another C library.
RUN rm -rf node_modules/koffi/vendor node_modules/koffi/doc node_modules/@koromix/*/musl_* \
 && find node_modules \( -name '*.map' -o -name '*.ts' -o -name '*.cts' -o -name '*.mts' -o -name '*.md' -o -name '*.markdown' \) -type f -delete \
 && find node_modules -type d \( -name test -o -name tests -o -name docs -o -name examples -o -name benchmarks -o -name .github \) \
      -prune -exec rm -rf {} +

FROM ${NODE_IMAGE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ringleader" \
      org.opencontainers.image.description="A Redis-protocol proxy: many plain Redis servers that behave like one" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV NODE_ENV=production
WORKDIR /app
COPY package.json LICENSE ./
COPY --from=packages /packages/node_modules node_modules
COPY --from=build /build/dist dist
# By number, so that Kubernetes can see that it is not root.
USER 1000:1000
# Clients, and the admin port: as in the configuration.
EXPOSE 6380 9121
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=5s --retries=3 \
  CMD ["node", "/app/dist/src/main.js", "health", "--config", "/etc/ringleader/ringleader.yml"]
# Node itself is process 1 and hears the signals: no shell and no npm stands in between.
ENTRYPOINT ["node", "/app/dist/src/main.js"]
CMD ["start", "--config", "/etc/ringleader/ringleader.yml"]
