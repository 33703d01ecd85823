#!/bin/sh
# Runs a command where it cannot do harm: with a network of its own that has nothing but loopback, and with mounts and
# processes of its own, so that nothing it makes is seen outside and nothing it starts outlives it. Control groups are
# shared with the machine; whoever makes some takes them away again.
#
#   usage: tools/isolated.sh COMMAND [ARGUMENT...]        (as root)
set -eu
if [ "$#" -eq 0 ]; then
  echo "usage: $0 COMMAND [ARGUMENT...]" >&2
  exit 64
fi
# The shell stays as the first process: it reaps what others leave behind, which most commands would not.
exec unshare --net --mount --propagation private --pid --fork --kill-child --mount-proc \
  sh -c 'ip link set dev lo up && { "$@"; exit "$?"; }' isolated "$@"
