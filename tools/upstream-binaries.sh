#!/usr/bin/env bash
# Unpacks upstream's own programs from Debian's packages, for tests that use them: kubectl, etcd and etcdctl.
# Nothing is installed; the machine's package sources stay as they are.
#   usage: upstream-binaries.sh [DIR]      default: node_modules/.cache/upstream; programs are in DIR/usr/bin
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
target=${1:-$root/node_modules/.cache/upstream}
packages=(kubectl etcd-server etcd-client)
release=${UPSTREAM_RELEASE:-sid}
programs=(kubectl etcd etcdctl)

is_complete() {
  for program in "${programs[@]}"; do [[ -x $target/usr/bin/$program ]] || return 1; done
}
if is_complete; then exit 0; fi

command -v apt-get > /dev/null && command -v dpkg > /dev/null || {
  echo "upstream's programs come as Debian packages, and this machine has no apt-get" >&2
  exit 1
}
# The machine's own mirror, which may be the only one that it can reach.
mirror=${DEBIAN_MIRROR:-$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2> /dev/null || true; } |
  sed -nE '/^[[:space:]]*#/d; s#.*(https?://[^[:space:]]+/debian/?)([[:space:]].*)?$#\1#p' | head -n 1)}
mirror=${mirror:-http://deb.debian.org/debian}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/none" "$target"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" > "$work/sources"
apt() {
  apt-get -qq -o APT::Sandbox::User=root \
    -o Dir::Etc::SourceList="$work/sources" -o Dir::Etc::SourceParts="$work/none" \
    -o Dir::Etc::Preferences="$work/none/absent" -o Dir::Etc::PreferencesParts="$work/none" \
    -o Dir::State::Lists="$work/lists" -o Dir::Cache::Archives="$work/archives" \
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= "$@"
}
apt update
(cd "$work" && apt download "${packages[@]/%//$release}")
for package in "$work"/*.deb; do dpkg -x "$package" "$target"; done
is_complete || {
  echo "not all of ${programs[*]} were in ${packages[*]}" >&2
  exit 1
}
echo "upstream's programs are in $target/usr/bin: ${programs[*]}"
