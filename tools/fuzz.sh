#!/bin/sh
# fuzz.sh TIME: runs every fuzz target of the tree for TIME (such as 10s), one after
# the other; fails if one finds something, if one ran no input, or if there is none.
set -eu
[ $# -eq 1 ] || { echo "usage: fuzz.sh TIME" >&2; exit 2; }
n=0
for f in $(grep -rlE --include='*_test.go' --exclude-dir=testdata '^func Fuzz[A-Z]' . | sort); do
	for fn in $(sed -nE 's/^func (Fuzz[A-Za-z0-9_]+)\(.*/\1/p' "$f"); do
		out=$(go test -run '^$' -fuzz "^$fn\$" -fuzztime "$1" -parallel 2 "./$(dirname "$f")" 2>&1) || { echo "$out"; exit 1; }
		last=$(echo "$out" | grep -E 'execs: [1-9]' | tail -n 1) || { echo "$out"; echo "$f: $fn ran no input"; exit 1; }
		echo "${f#./}: $fn: ${last#fuzz: }"
		n=$((n + 1))
	done
done
[ "$n" -gt 0 ] || { echo "no fuzz targets found"; exit 1; }
echo "fuzzed $n targets"
