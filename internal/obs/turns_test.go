package obs

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"
)

// TestClaimDuringASwitch: a claim does not expire while OBS switches profiles, which may take a
// minute, because OBS may ask about audio settings in a dialog.
func TestClaimDuringASwitch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		all := newTurns(defaultQuiet)
		hear := func(kind string, said any) {
			data, err := json.Marshal(said)
			if err != nil {
				t.Fatal(err)
			}
			all.heard(event{Type: kind, Data: data})
		}
		mine := func(want bool, when string) {
			t.Helper()
			if got := all.mine(); got != want {
				t.Errorf("%s: the claim is valid: %v, want %v", when, got, want)
			}
		}
		var e turnEvent
		e.Stagedoor.Claim = all.id
		hear("CustomEvent", e)
		time.Sleep(15 * time.Second)
		hear("CurrentProfileChanging", struct{}{})
		time.Sleep(59 * time.Second)
		mine(true, "during a dialog of OBS")
		hear("CurrentProfileChanged", struct{}{})
		time.Sleep(19 * time.Second)
		mine(true, "19 s after the switch")
		time.Sleep(time.Second)
		mine(false, "20 s after the switch")
		hear("CurrentProfileChanged", struct{}{})
		mine(false, "after another switch, which renews no claim that has expired")
	})
}
