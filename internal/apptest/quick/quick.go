// Package quick decides what `make quick` leaves out of the tests. It runs before each commit. All
// other targets run every test in full.
package quick

import (
	"os"
	"testing"
)

// Few returns how many random cases a test tries: all, or in `make quick` a tenth of them.
func Few(all int) int {
	if testing.Short() {
		return all / 10
	}
	return all
}

// LeavesOut skips a test in `make quick`. what is the reason: what the test needs or waits for,
// such as "browsers".
func LeavesOut(t testing.TB, what string) {
	t.Helper()
	if testing.Short() {
		t.Skipf("make quick leaves out %s", what)
	}
}

// Runs returns the path of a script that the test runs in another process. `go test` notices which
// files a test opens, and thus not this one, unless Runs looks at it: the cached result of the test
// would be repeated although the script has changed.
func Runs(t testing.TB, path string) string {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}
