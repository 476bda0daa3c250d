package app

import (
	"testing"
	"time"
)

// An empty variable, as compose files have it, is one that is not set: it must not open the house to the network.
func TestAnEmptyVariableIsNotSet(t *testing.T) {
	t.Parallel()
	var cli commands
	env := map[string]string{"STAGEDOOR_LISTEN": "", "STAGEDOOR_MAX_PUBLISHERS": "", "STAGEDOOR_CUT_AT_EXPIRY": "", "STAGEDOOR_LOST_AFTER": "1m"}
	parser, err := newParser(&cli, &process{env: env}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"serve"}); err != nil {
		t.Fatal(err)
	}
	if s := cli.Serve; s.Listen != "127.0.0.1:8080" || s.MaxPublishers != 12 || s.CutAtExpiry || s.LostAfter != time.Minute {
		t.Errorf("got --listen %q, --max-publishers %d, --cut-at-expiry=%v, --lost-after %v; want the defaults, and a minute", s.Listen, s.MaxPublishers, s.CutAtExpiry, s.LostAfter)
	}
}
