# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What every tool shares: messages, the cache, locks, temporary directories, steps that take long.

set -euo pipefail
shopt -s inherit_errexit
umask 022

TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
PROJECT=${TOOLS%/*}
: "${HOME:=$(getent passwd "$(id -u)" | cut -d: -f6)}"
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/async-domain
JOBS=${JOBS:-$(nproc)}
V=${V:-0}
export HOME V

say() { printf 'async_domain: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

mkdir -p "$CACHE"/{locks,logs,tmp} || die "cannot write to the cache $CACHE: set XDG_CACHE_HOME"

# Whether this is the Debian 13 root that lib/make-root made.
in_root() { [ -e /.async-domain-root ]; }

# enter ARGUMENTS...: the tool starts again in the reference userland, unless it is there.
enter() { [ -n "${ASYNC_DOMAIN_ENTERED:-}" ] || exec "$TOOLS/enter" "$0" "$@"; }

# lock NAME: holds the lock until the process and what it started end.
lock() {
	exec {LOCK}>"$CACHE/locks/$1"
	flock -n "$LOCK" && return
	say "waiting for another run, which is preparing the same ($1)"
	flock "$LOCK"
}

# unlock: releases the lock that was taken last.
unlock() { exec {LOCK}>&-; }

# Removes the temporary directories of runs that are no more.
sweep() {
	local dir
	for dir in $(find "$CACHE/tmp" -mindepth 1 -maxdepth 1 -mmin +1); do
		flock -n "$dir" rm -rf "$dir" 2>/dev/null || :
	done
}

# scratch VARIABLE: a temporary directory in the cache, gone when the tool ends. It is locked, so
# that the next run can tell what an interrupted one left behind.
scratch() {
	local dir fd
	sweep
	dir=$(mktemp -d "$CACHE/tmp/XXXXXXXX")
	exec {fd}<"$dir"
	flock "$fd"
	SCRATCHES="${SCRATCHES:-} $dir"
	trap 'rm -rf $SCRATCHES 2>/dev/null || :' EXIT
	printf -v "$1" %s "$dir"
}

# ticker LOG: shows that something moves, until it is killed.
ticker() {
	local start=$SECONDS every=10 text sleeping
	[ -t 2 ] || every=30
	trap 'kill $sleeping 2>/dev/null; exit' TERM
	while sleep "$every" & sleeping=$!; wait "$sleeping"; do
		printf -v text 'async_domain: ... %d:%02d, %d lines of log' \
			$(((SECONDS - start) / 60)) $(((SECONDS - start) % 60)) "$(wc -l <"$1")"
		if [ -t 2 ]; then printf '\r%s\033[K' "$text" >&2; else printf '%s\n' "$text" >&2; fi
	done
}

# step NAME MESSAGE COMMAND...: one line of progress; what the command prints goes to the log NAME,
# whose end is shown if the command fails. V=1 shows everything at once.
step() {
	local log=$CACHE/logs/$1.log message=$2 ticking rc=0
	shift 2
	say "$message ..."
	if [ "$V" = 1 ]; then
		"$@" >&2 || die "failed: $message"
		return
	fi
	: >"$log"
	ticker "$log" >/dev/null & ticking=$!
	"$@" >"$log" 2>&1 || rc=$?
	kill "$ticking" 2>/dev/null
	wait "$ticking" 2>/dev/null || :
	[ -t 2 ] && printf '\r\033[K' >&2
	[ "$rc" = 0 ] && return
	tail -n 20 "$log" | sed 's/^/    /' >&2
	die "failed: $message (exit code $rc; everything: $log, or V=1)"
}

# hash FILE... or hash <text: twelve digits that stand for the content.
hash() { cat "$@" | sha256sum | cut -c1-12; }

# packages: the names that tools/packages lists.
packages() { sed -n 's/^\([a-z0-9][^ ]*\).*/\1/p' "$TOOLS/packages"; }

# missing_packages: those of them that are not installed.
missing_packages() {
	comm -23 <(packages | sort -u) <(dpkg-query -W -f='${db:Status-Abbrev}${Package}\n' |
		sed -n 's/^ii //p' | sort -u)
}
