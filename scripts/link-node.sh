#!/bin/sh
# Makes node_modules/.bin/node the pinned Node. npm 11 links it by itself; npm 10 drops the link again, together with the package that is for
# another processor. Elsewhere than on Linux nothing is pinned, and the machine's own Node runs.
cd "$(dirname "$0")/../node_modules/.bin" || exit 1
for node in ../node-linux-*/bin/node; do
  if [ -x "$node" ]; then ln -sf "$node" node; fi
done
