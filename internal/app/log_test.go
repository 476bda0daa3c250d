package app

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLogIsPaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		log := newLog(LogSettings{LogLevel: "debug"}, &text)
		count := func(part string) int { return strings.Count(text.String(), part) }
		for range 1000 {
			log.With("part", 1).Info("refused")
			log.Debug("looked at")
		}
		log.WithGroup("g").Warn("something else", "n", 1)
		if got := count("msg=refused"); got != 50 {
			t.Errorf("the same message: got %d lines, want 50", got)
		}
		if count("g.n=1") != 1 || count("looked at") != 1000 {
			t.Errorf("another message, and debug: got %d and %d lines, want 1 and 1000",
				count("g.n=1"), count("looked at"))
		}
		time.Sleep(time.Second)
		log.Info("refused")
		if count("left_out=950") != 1 {
			t.Errorf("a second later: got no line that says how many were left out:\n%s",
				text.String()[text.Len()-200:])
		}
		time.Sleep(time.Second)
		log.Info("refused")
		if got := count("left_out"); got != 1 {
			t.Errorf("and then: got %d lines with left_out, want 1", got)
		}
	})
}

func TestLogWritesJSON(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	newLog(LogSettings{LogLevel: "info", LogFormat: "json"}, &text).LogAttrs(t.Context(),
		slog.LevelInfo, "hello")
	if !strings.Contains(text.String(), `"msg":"hello"`) {
		t.Errorf("the log in JSON: got %s, want the message in it", &text)
	}
}
