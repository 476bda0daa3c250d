package obs

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
)

// TestFinalCodes compares finalCodes and settingsCodes with testdata/final.json. A JavaScript test
// compares the lists of the dock with the same file.
func TestFinalCodes(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/final.json")
	if err != nil {
		t.Fatal(err)
	}
	var table struct{ Final, Settings []string }
	if err := json.Unmarshal(text, &table); err != nil {
		t.Fatal(err)
	}
	if want := append(table.Final, table.Settings...); !slices.Equal(finalCodes, want) ||
		!slices.Equal(settingsCodes, table.Settings) {
		t.Errorf("got %q, want %q", finalCodes, want)
	}
}
