package words_test

import (
	"errors"
	"testing"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

func TestEnglish(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key    string
		values words.Values
		want   string
	}{
		{"said.doctor.renew", nil, "renew it"},
		{"said.doctor.data", words.Values{"folder": "/data"}, "/data can be written"},
		{"said.doctor.data", nil, "{folder} can be written"},
		{"said.word.minutes", words.Values{"n": 2}, "2 minutes"},
		{"said.word.minutes", words.Values{"n": 1.5}, "1.5 minutes"},
		{"no.such.key", nil, "no.such.key"},
	} {
		if got := words.English(c.key, c.values); got != c.want {
			t.Errorf("%s with %v: got %q, want %q", c.key, c.values, got, c.want)
		}
	}
	err := words.Error(stage.ErrConflict, "said.doctor.renew", nil)
	if !errors.Is(err, stage.ErrConflict) || err.Detail != "renew it" {
		t.Errorf("got %v, want a conflict with the sentence", err)
	}
}
