#!/bin/sh
# test.sh [FLAGS] PACKAGES: go test, and at the end one line that says which external
# parts were missing, so that tests were skipped, and what to install.
#
# A test that needs a part says so when it skips: t.Skip("MISSING: postgresql"), the
# name of a Debian package. With CI set, a missing part is a failure.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT INT TERM

# go test shows skips only with -v. The rest of what -v adds is taken out again.
{ go test -v "$@" 2>&1 && echo 0 >"$dir/status" || echo $? >"$dir/status"; } | tee "$dir/log" | awk '
	/^(ok  |\?   )\t/ || /^\t.*coverage: / { print; n = 0; fflush(); next }
	/^FAIL\t/ { for (i = 0; i < n; i++) print kept[i]; print; n = 0; fflush(); next }
	/^=== / || /^ *--- (PASS|SKIP): / || /^PASS$/ { next }
	{ kept[n++] = $0 }
	END { for (i = 0; i < n; i++) print kept[i] }
'
status=$(cat "$dir/status")

missing=$(sed -nE 's/^.*MISSING: *([a-z0-9][a-z0-9.+, -]*).*$/\1/p' "$dir/log" | tr ', ' '\n\n' | grep . | sort -u | tr '\n' ' ' | sed 's/ $//')
if [ -z "$missing" ]; then
	echo "external parts: none missing"
else
	echo "external parts: MISSING, so their tests were skipped: $missing (apt-get install $missing)"
	if [ -n "${CI:-}" ] && [ "$status" -eq 0 ]; then status=1; fi
fi
exit "$status"
