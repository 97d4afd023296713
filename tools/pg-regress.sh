#!/bin/sh
# Runs the DML of PostgreSQL's own regression suite through the mapper, against a real
# server. The suite comes from Debian's source package, by an apt configuration of this
# script's own, into a folder that is removed again; or from the folder in
# WRIT_PG_REGRESS, which is then kept.
set -eu

go=${GO:-go}
if [ -z "${WRIT_PG_REGRESS:-}" ]; then
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
	trap 'exit 1' INT TERM
	mkdir -p "$dir/lists/partial" "$dir/archives/partial" "$dir/parts"
	# The same sources as the system's, but for source packages.
	for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -f "$f" ] && grep -q ' main' "$f" && sed -n 's/^deb /deb-src /p' "$f" >>"$dir/parts/src.list" || true
	done
	n=0
	for f in /etc/apt/sources.list.d/debian*.sources; do
		[ -f "$f" ] || continue
		n=$((n + 1))
		sed 's/^Types:.*/Types: deb-src/' "$f" >"$dir/parts/$n.sources"
	done
	cat >"$dir/apt.conf" <<-END
		Dir::Etc::SourceList "/dev/null";
		Dir::Etc::SourceParts "$dir/parts";
		Dir::State::Lists "$dir/lists";
		Dir::Cache "$dir";
		Dir::Cache::Archives "$dir/archives";
		APT::Sandbox::User "";
	END
	apt() { APT_CONFIG="$dir/apt.conf" apt-get -qq "$@"; }
	sources() { APT_CONFIG="$dir/apt.conf" apt-cache "$@"; }
	apt update
	# A mirror may have only some of the versions: the newest that it has.
	for v in $(sources showsrc postgresql-15 | sed -n 's/^Version: //p' | sort -Vru); do
		(cd "$dir" && apt source --download-only "postgresql-15=$v") 2>/dev/null && break
	done
	tar -C "$dir" -xf "$dir"/postgresql-15_*.orig.tar.* --wildcards '*/src/test/regress'
	chmod -R a+rX "$dir" # the server reads the suite's files as another user
	WRIT_PG_REGRESS=$(echo "$dir"/postgresql-*/src/test/regress)
fi
export WRIT_PG_REGRESS
"$go" test -count=1 -timeout 60m -v -run '^TestRegression$' ./internal/sqlanalyze
