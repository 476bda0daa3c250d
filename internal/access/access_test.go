package access

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// The stories of this package are told in internal/store, over both databases. Here are the small parts.

var quick = &PasswordParams{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}

func TestNamesThatPeopleTakeForTheSame(t *testing.T) {
	t.Parallel()
	for _, same := range [][2]string{
		{"Ana", "ANA"}, {"José", "Jose\u0301"}, {"GROẞ", "groß"}, {"ＡＮＡ", "ana"}, {"a  b", "A\u00a0B"}, {"ſam", "Sam"},
	} {
		if nameKey(same[0]) != nameKey(same[1]) {
			t.Errorf("%q and %q: got two keys %q, %q, want one", same[0], same[1], nameKey(same[0]), nameKey(same[1]))
		}
	}
	for _, different := range [][2]string{{"Ana", "Anna"}, {"José", "Jose"}, {"ab", "a b"}} {
		if nameKey(different[0]) == nameKey(different[1]) {
			t.Errorf("%q and %q: got one key, want two", different[0], different[1])
		}
	}
}

func FuzzName(f *testing.F) {
	for _, text := range []string{"Ana", "", " ", "\x00", "\xff", "\u202e", strings.Repeat("é", 65), "Jose\u0301", "\u0301", "ﷺ"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, err := cleanName(text)
		if err != nil {
			if !errors.Is(err, stage.ErrInvalid) {
				t.Fatalf("%q: got %v, want ErrInvalid", text, err)
			}
			return
		}
		if n := utf8.RuneCountInString(name); n < 1 || n > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, deceives) {
			t.Errorf("%q became %q", text, name)
		}
		if again, err := cleanName(name); err != nil || again != name {
			t.Errorf("%q, cleaned again: got %q, %v", name, again, err)
		}
		if nameKey(name) == "" || nameKey(nameKey(name)) != nameKey(name) {
			t.Errorf("key of %q: got %q, then %q", name, nameKey(name), nameKey(nameKey(name)))
		}
	})
}

func FuzzCleanText(f *testing.F) {
	f.Add("Mozilla/5.0 (X11) OBS/31", 256)
	f.Add("\x00\xff\u2028é", 3)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = max(0, limit%1000)
		clean := cleanText(text, limit)
		if len(clean) > limit || !utf8.ValidString(clean) || strings.ContainsRune(clean, 0) {
			t.Errorf("%q to %d: got %q", text, limit, clean)
		}
	})
}

func FuzzNetwork(f *testing.F) {
	for _, text := range []string{"192.0.2.1", "192.0.2.1:80", "::1", "[2001:db8::1]:443", "::ffff:192.0.2.1", "fe80::1%eth0", "", "unix", "1:2:3"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got := network(text); len(got) > 64 || !utf8.ValidString(got) {
			t.Errorf("%q: got %q", text, got)
		}
		if s := slot(network(text), addressBuckets); s >= addressBuckets {
			t.Errorf("%q: got slot %d", text, s)
		}
	})
}

func TestWhatOneStrangerIsToldBy(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "192.0.2.1:4711": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "[2001:db8:1:2::9]:80": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
		"somewhere": "somewhere",
	} {
		if got := network(address); got != want {
			t.Errorf("network(%q): got %q, want %q", address, got, want)
		}
	}
}

func TestDurationsInWords(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		time.Millisecond: "1 second", time.Second: "1 second", 1500 * time.Millisecond: "2 seconds", 59 * time.Second: "59 seconds",
		time.Minute: "1 minute", 90 * time.Second: "90 seconds", 4*time.Minute - time.Second: "4 minutes", 10 * time.Minute: "10 minutes",
		time.Hour: "1 hour", 14 * 24 * time.Hour: "14 days",
	} {
		if got := inWords(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}

func TestPasswordsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "ninechars", strings.Repeat("x", 1025), "\xff\xfe invalid text", "ANASTASIA LOPEZ"} {
		if err := checkPassword(stage.NewSecret(text), "Anastasia Lopez"); !errors.Is(err, stage.ErrInvalid) {
			t.Errorf("%q: got %v, want ErrInvalid", text, err)
		}
	}
	for _, text := range []string{"tencharact", "十個漢字的密碼很安全", strings.Repeat("x", 1024), " spaces around "} {
		if err := checkPassword(stage.NewSecret(text), "Ana"); err != nil {
			t.Errorf("%q: got %v, want none", text, err)
		}
	}
}

func TestAPasswordIsTheSameOnEveryKeyboard(t *testing.T) {
	t.Parallel()
	p := NewPasswords(quick, 1)
	hash, err := p.hashInTurn(t.Context(), "ana", Client{}, stage.NewSecret("contrase\u00f1a larga"))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"contrasen\u0303a larga": true, "contrasena larga": false, "": false} {
		if got, err := p.matches(stage.NewSecret(text), hash); got != want || err != nil {
			t.Errorf("%q: got %v, %v; want %v", text, got, err, want)
		}
	}
	if got, err := p.matches(stage.NewSecret("nobody's password"), ""); got || err != nil {
		t.Errorf("no password chosen: got %v, %v; nothing matches that", got, err)
	}
}

// A name that is not there costs what one that is there costs. Both are run in turns and the fastest runs are compared: a
// busy machine only ever makes a run slower.
func TestNobodyTakesAsLong(t *testing.T) {
	t.Parallel()
	p := NewPasswords(&PasswordParams{Memory: 8 * 1024, Iterations: 3, Parallelism: 1, SaltLength: 16, KeyLength: 32}, 1)
	hash, err := p.hashInTurn(t.Context(), "ana", Client{}, stage.NewSecret("correct horse battery"))
	if err != nil {
		t.Fatal(err)
	}
	run := func(hash string) time.Duration {
		start := time.Now()
		if same, err := p.matches(stage.NewSecret("wrong password"), hash); same || err != nil {
			t.Fatalf("Matches: got %v, %v", same, err)
		}
		return time.Since(start)
	}
	run("") // the hash of nobody's password is made once
	known, unknown := time.Hour, time.Hour
	for range 15 {
		known, unknown = min(known, run(hash)), min(unknown, run(""))
	}
	if unknown < known/3 || known < unknown/3 {
		t.Errorf("a known name takes %v, an unknown one %v", known, unknown)
	}
}

func TestAMemory(t *testing.T) {
	t.Parallel()
	var m memory[int, string]
	_, age, known := m.recall(1)
	if known {
		t.Error("an empty memory knows something")
	}
	m.keep(1, "one", age)
	if got, _, known := m.recall(1); !known || got != "one" {
		t.Errorf("recall: got %q, %v", got, known)
	}
	m.forgetAll()
	m.keep(1, "old", age) // read before something changed
	if _, _, known := m.recall(1); known {
		t.Error("what was read before a change is believed after it")
	}
	_, age, _ = m.recall(0)
	for i := range 3 * memorySize {
		m.keep(i, "x", age)
	}
	if n := len(m.entries); n > memorySize {
		t.Errorf("size: got %d, want at most %d", n, memorySize)
	}
}
