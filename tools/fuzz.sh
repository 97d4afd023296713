#!/bin/sh
# fuzz.sh TIME: runs every fuzz target of the tree for TIME (such as 10s), one after
# the other; fails if one finds something, if one ran no input, or if there is none.
#
# Go before 1.27 may report the end of -fuzztime itself as a failure (go.dev/issue/75804).
# That, and only that, is forgiven: an input that fails is always written and named.
set -eu
[ $# -eq 1 ] || { echo "usage: fuzz.sh TIME" >&2; exit 2; }

# timeup OUTPUT: the failure is the end of the time and nothing else.
timeup() {
	echo "$1" | grep -qx '    context deadline exceeded' &&
		! echo "$1" | grep -qE 'Failing input|panic:|fatal error:|_test\.go:[0-9]+:'
}

n=0
for f in $(grep -rlE --include='*_test.go' --exclude-dir=testdata '^func Fuzz[A-Z]' . | sort); do
	for fn in $(sed -nE 's/^func (Fuzz[A-Za-z0-9_]+)\(.*/\1/p' "$f"); do
		out=$(go test -run '^$' -fuzz "^$fn\$" -fuzztime "$1" -fuzzminimizetime 50x -parallel 2 "./$(dirname "$f")" 2>&1) ||
			timeup "$out" || { echo "$out"; exit 1; }
		last=$(echo "$out" | grep -E 'execs: [1-9]' | tail -n 1) || { echo "$out"; echo "$f: $fn ran no input"; exit 1; }
		echo "${f#./}: $fn: ${last#fuzz: }"
		n=$((n + 1))
	done
done
[ "$n" -gt 0 ] || { echo "no fuzz targets found"; exit 1; }
echo "fuzzed $n targets"
