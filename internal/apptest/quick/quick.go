// Package quick decides what `make quick` leaves out of the tests. `make quick` runs before each
// commit. All other targets run every test in full.
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

// LeavesOut skips a test in `make quick`. The last parameter is the reason: a thing that the test
// needs or waits for, such as "browsers".
func LeavesOut(t testing.TB, what string) {
	t.Helper()
	if testing.Short() {
		t.Skipf("make quick leaves out %s", what)
	}
}

// Runs returns the path of a script that the test runs in another process. `go test` repeats a
// cached result until a file changes that the test itself has looked at. The other process opens
// the script, so Runs looks at it in the process of the test.
func Runs(t testing.TB, path string) string {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}
