#!/usr/bin/env bash
# Runs commands as a newcomer would: in a Debian with nothing installed but a clone of the last commit.
#   fresh_root.sh SUITE [COMMAND]     SUITE: bookworm, trixie, ...; COMMAND: ./run demo && ./run test
# As root, with debootstrap. What the command installs and builds stays in the folder of the suite, under LORAGRAD_ROOTS (default
# ~/.cache/loragrad/roots), for the next run; without the folder the next begins from nothing. Packages come from where
# this machine's come from, or from LORAGRAD_MIRROR.
set -euo pipefail

fail() { printf 'error: %s\n' "$*" >&2; exit "${code:-4}"; }

suite=${1:-} command=${2:-./run demo && ./run test}
[[ "$suite" =~ ^[a-z]+$ ]] || code=2 fail "fresh: expected a suite such as trixie, found \"$suite\""
[ "$(id -u)" = 0 ] || fail "fresh: only root can make a system to run in"
command -v debootstrap >/dev/null || fail "fresh: debootstrap is not installed (apt-get install debootstrap)"

export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'  # a user's clone, read by root
here=$(git -C "$(dirname "${BASH_SOURCE[0]}")" rev-parse --show-toplevel)
roots=${LORAGRAD_ROOTS:-${XDG_CACHE_HOME:-$HOME/.cache}/loragrad/roots}
root=$roots/$suite log=$roots/$suite.log

# shellcheck disable=SC2016  # apt fills these in
make_root() {
  local mirror=${LORAGRAD_MIRROR:-}
  [ -n "$mirror" ] || mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Identifier: Packages' |
    sed -n 's/^Debian //p' | head -1)
  [ -n "$mirror" ] || fail "fresh: apt has no lists of Debian's packages here (apt-get update, or set LORAGRAD_MIRROR)"
  rm -rf "$root.new"
  mkdir -p "$root.new"
  debootstrap --variant=minbase --include=ca-certificates "$suite" "$root.new" "$mirror" >"$log" 2>&1 ||
    { tail -n 3 "$log" >&2; fail "fresh: debootstrap failed, see $log"; }
  printf 'deb %s %s main\n' "$mirror" "$suite" >"$root.new/etc/apt/sources.list"
  mv "$root.new" "$root"
}

[ -d "$root" ] || { printf 'making %s\n' "$root" >&2; make_root; }
apt-config dump --no-empty --format '%F "%v";%n' Acquire::http Acquire::https Acquire::Check-Valid-Until Acquire::Check-Date \
  >"$root/etc/apt/apt.conf.d/90outside"
cp /etc/resolv.conf /etc/hosts "$root/etc/"
rm -rf "$root/root/loragrad"
git clone -q --no-hardlinks "$here" "$root/root/loragrad"
[ -z "$(git -C "$here" status --porcelain)" ] || printf 'warning: what is not committed is not in it\n' >&2

# In a mount namespace of its own: nothing stays mounted, however this ends.
passed=()
for name in http_proxy https_proxy no_proxy OPENBLAS_CORETYPE MESON_ARGS CXX; do
  [ -z "${!name:-}" ] || passed+=("$name=${!name}")
done
# shellcheck disable=SC2016
exec unshare --mount --propagation private bash -c '
  for folder in proc sys dev; do mount --rbind "/$folder" "$1/$folder"; done
  exec chroot "$1" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM="${TERM:-dumb}" "${@:3}" \
    bash -c "cd /root/loragrad && $2"' fresh "$root" "$command" "${passed[@]}"
