# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2034
# What every tool shares: messages, the cache, locks, temporary directories, steps that take long. (Not each uses all.)

set -euo pipefail
shopt -s inherit_errexit
umask 022

unset CDPATH
TOOLS=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
PROJECT=${TOOLS%/*}
: "${HOME:=$(getent passwd "$(id -u)" | cut -d: -f6)}"
# (The reference userland may have it under another name: see lib/in-root.)
CACHE=${ASYNC_DOMAIN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/async-domain}
JOBS=${JOBS:-$(nproc)}
V=${V:-0}
export HOME V

say() { printf 'async_domain: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

[[ $CACHE == /* ]] || die "XDG_CACHE_HOME=${XDG_CACHE_HOME:-}: must be an absolute path"
mkdir -p "$CACHE"/{locks,logs,tmp} || die "cannot write to the cache $CACHE: set XDG_CACHE_HOME"
CACHE=$(cd -- "$CACHE" && pwd -P)

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

# remove PATH...: deletes files and directories with all that is in them, but not what a link leads to, nor another file
# system that is mounted there. Nothing else here deletes. What is not below the cache is refused: to ask for it is a bug.
remove() {
	local path directory name
	for path; do
		while [[ $path == */ ]]; do path=${path%/}; done
		name=${path##*/} directory=${path%"${path##*/}"}
		[[ $directory == /* ]] || directory=./$directory
		[ -d "$directory" ] || continue
		# (The slash keeps a newline at the end.)
		directory=$(cd -- "$directory" && pwd -P && echo /)
		directory=${directory%$'\n'/}/
		[[ $directory == "$CACHE"/* && -n $name && $name != . && $name != .. ]] ||
			die "\"$path\" is not below the cache $CACHE: it is not deleted"
		rm -rf --one-file-system -- "$directory$name"
	done
}

# mirror OPTION... SOURCE... DIRECTORY: rsync, which deletes in the directory, below the cache, what is not in the sources.
mirror() {
	local to=${!#}
	mkdir -p "$to"
	[[ $(cd -- "$to" && pwd -P) == "$CACHE"/* ]] || die "\"$to\" is not below the cache $CACHE: nothing is copied there"
	rsync --delete "$@"
}

# sweep DIRECTORY TEST...: removes the directories there for which find's tests hold, and which nobody has locked.
sweep() {
	local path
	while IFS= read -r -d '' path; do
		# shellcheck disable=SC2094 # It is a directory.
		(flock -n 9 && remove "$path") 9<"$path" || :
	done < <(find "$1" -mindepth 1 -maxdepth 1 -type d "${@:2}" -print0)
}

# scratch: makes $work, a temporary directory in the cache, gone when the tool ends. It is locked, so that the next run
# can tell what an interrupted one left behind.
scratch() {
	local fd
	sweep "$CACHE/tmp" -mmin +1
	work=$(mktemp -d "$CACHE/tmp/XXXXXXXX")
	exec {fd}<"$work"
	flock "$fd"
	SCRATCH=$work
	trap 'remove "$SCRATCH" || :' EXIT
}

# describe COMMAND...: runs tools/kernel, or what prints the same lines about a kernel, and takes what they say.
describe() {
	local line
	DESCRIPTION=$("$@") || return
	MAKE_ARGUMENTS=()
	while IFS= read -r line; do
		case $line in
		RELEASE=*) RELEASE=${line#*=} ;;
		VERSION=*) VERSION=${line#*=} ;;
		KDIR=*) KDIR=${line#*=} ;;
		VMLINUZ=*) VMLINUZ=${line#*=} ;;
		SOURCE=*) SOURCE=${line#*=} ;;
		MODULES=*) MODULES=${line#*=} ;;
		"MAKE_ARGUMENTS+=('"*"')") line=${line#*\'} && MAKE_ARGUMENTS+=("${line%\'*}") ;;
		*) die "$1 says of a kernel: $line" ;;
		esac
	done <<<"$DESCRIPTION"
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

# took: the step that is being made says so.
took() { [ -z "${STEPS:-}" ] || [ $((SECONDS - start)) -lt 10 ] || echo "$((SECONDS - start)) ${message% (*}" >>"$STEPS"; }

# step NAME MESSAGE COMMAND...: one line of progress; what the command prints goes to the log NAME,
# whose end is shown if the command fails. V=1 shows everything at once. The file STEPS is told how many seconds it took.
step() {
	local log=$CACHE/logs/$1.log message=$2 ticking rc=0 start=$SECONDS
	shift 2
	say "$message ..."
	if [ "$V" = 1 ]; then
		"$@" >&2 || die "failed: $message"
		took
		return
	fi
	: >"$log"
	ticker "$log" >/dev/null & ticking=$!
	"$@" >"$log" 2>&1 || rc=$?
	kill "$ticking" 2>/dev/null
	wait "$ticking" 2>/dev/null || :
	[ -t 2 ] && printf '\r\033[K' >&2
	[ "$rc" = 0 ] && { took; return; }
	tail -n 20 "$log" | sed 's/^/    /' >&2
	die "failed: $message (exit code $rc; everything: $log, or V=1)"
}

# hash: twelve digits that stand for what it reads.
hash() { sha256sum | cut -c1-12; }

# packages: the names that tools/packages lists.
packages() { sed -n 's/^\([a-z0-9][^ ]*\).*/\1/p' "$TOOLS/packages"; }

# missing_packages: those of them that are not installed.
missing_packages() {
	comm -23 <(packages | sort -u) <(dpkg-query -W -f='${db:Status-Abbrev}${Package}\n' |
		sed -n 's/^ii //p' | sort -u)
}

# fresh_lists [DIRECTORY]: whether apt has package lists there that are at most a day old.
fresh_lists() {
	[ -n "$(find "${1:-/var/lib/apt/lists}" -maxdepth 0 -mtime -1)" ] &&
		[ -n "$(find "${1:-/var/lib/apt/lists}" -maxdepth 1 -name '*Packages*' -print -quit)" ]
}

# apt_get ARGUMENTS...: apt-get, with fresh package lists. Whoever may not renew those of the machine gets some in the
# cache.
apt_get() {
	local lists=/var/lib/apt/lists apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3) rc=0
	if [ ! -w "$lists" ]; then
		lists=$CACHE/apt-lists
		apt+=(-o "Dir::State::Lists=$lists")
		mkdir -p "$lists/partial"
	fi
	lock apt
	# Old ones are better than none.
	fresh_lists "$lists" || { "${apt[@]}" update && touch "$lists"; } || :
	# A mirror drops what it has replaced.
	[ $# = 0 ] || "${apt[@]}" "$@" || { "${apt[@]}" update && "${apt[@]}" "$@"; } || rc=$?
	unlock
	return "$rc"
}
