package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
)

func TestPrintable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Ana\n\tMüller 👩\u200d🚀 علی\u200cپور": "Ana\n\tMüller 👩\u200d🚀 علی\u200cپور",
		"\x1b]0;owned\a":             `\u001b]0;owned\u0007`,
		"LIVE\rgone":                 `LIVE\u000dgone`,
		"exe.\u202egnp":              `exe.\u202egnp`,
		"a\u2066b\u2028c\u0085d\x7f": `a\u2066b\u2028c\u0085d\u007f`,
		"tag \U000e0041":             `tag \udb40\udc41`,
		"broken \xff":                `broken \ufffd`,
	} {
		if got := Printable(text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
		var out bytes.Buffer
		w := &printableWriter{to: &out}
		for i := range len(text) { // byte by byte
			if n, err := w.Write([]byte{text[i]}); n != 1 || err != nil {
				t.Fatalf("Write of one byte: got %d, %v, want 1", n, err)
			}
		}
		if got := out.String(); got != want && len(w.rest) == 0 {
			t.Errorf("%q byte by byte: got %s, want %s", text, got, want)
		}
	}
}

func TestPrintableKeepsJSON(t *testing.T) {
	t.Parallel()
	const name = "\x1b[31m \u202e\u0085 \U000e0041 ok"
	text, err := json.Marshal(name)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	fmt.Fprintf(&printableWriter{to: &out}, "%s\n", text)
	var got string
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got != name {
		t.Errorf("got %q, %v from %s, want %q", got, err, &out, name)
	}
}
