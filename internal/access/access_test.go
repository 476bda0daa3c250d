package access

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// This file tests single functions. The tests that need a database are in package accesstest;
// package store runs them on both of its engines.

var quick = &PasswordParams{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16,
	KeyLength: 32}

func TestNameKey(t *testing.T) {
	t.Parallel()
	for _, same := range [][2]string{
		{"Ana", "ANA"}, {"José", "Jose\u0301"}, {"GROẞ", "groß"}, {"ＡＮＡ", "ana"},
		{"a  b", "A\u00a0B"}, {"ſam", "Sam"},
	} {
		if nameKey(same[0]) != nameKey(same[1]) {
			t.Errorf("%q and %q: got two keys %q, %q, want one", same[0], same[1], nameKey(same[0]),
				nameKey(same[1]))
		}
	}
	for _, different := range [][2]string{{"Ana", "Anna"}, {"José", "Jose"}, {"ab", "a b"}} {
		if nameKey(different[0]) == nameKey(different[1]) {
			t.Errorf("%q and %q: got one key, want two", different[0], different[1])
		}
	}
}

func FuzzName(f *testing.F) {
	for _, text := range []string{"Ana", "", " ", "\x00", "\xff", "\u202e", strings.Repeat("é", 65),
		"Jose\u0301", "\u0301", "ﷺ"} {
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
		if n := utf8.RuneCountInString(name); n < 1 || n > maxName || !utf8.ValidString(name) ||
			strings.ContainsFunc(name, deceives) {
			t.Errorf("the name %q became %q, want 1 to maxName visible characters", text, name)
		}
		if again, err := cleanName(name); err != nil || again != name {
			t.Errorf("%q, cleaned again: got %q, %v, want no change", name, again, err)
		}
		if nameKey(name) == "" || nameKey(nameKey(name)) != nameKey(name) {
			t.Errorf("the key of %q: got %q, and %q as the key of that, want the same",
				name, nameKey(name), nameKey(nameKey(name)))
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
			t.Errorf("%q, cut to %d bytes: got %q, want valid UTF-8 that is no longer",
				text, limit, clean)
		}
	})
}

func FuzzNetwork(f *testing.F) {
	for _, text := range []string{"192.0.2.1", "192.0.2.1:80", "::1", "[2001:db8::1]:443",
		"::ffff:192.0.2.1", "fe80::1%eth0", "", "unix", "1:2:3"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got := network(text); len(got) > 64 || !utf8.ValidString(got) {
			t.Errorf("the network of %q: got %q, want at most 64 bytes of UTF-8", text, got)
		}
		if s := slot(network(text), addressBuckets); s >= addressBuckets {
			t.Errorf("the slot of %q: got %d, want less than addressBuckets", text, s)
		}
	})
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "192.0.2.1:4711": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "[2001:db8:1:2::9]:80": "2001:db8:1:2::/64",
		"fe80::1%eth0": "fe80::/64",
		"somewhere":    "somewhere",
	} {
		if got := network(address); got != want {
			t.Errorf("network(%q): got %q, want %q", address, got, want)
		}
	}
}

func TestDurationsInWords(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		time.Millisecond: "1 second", time.Second: "1 second", 1500 * time.Millisecond: "2 seconds",
		59 * time.Second: "59 seconds",
		time.Minute:      "1 minute", 90 * time.Second: "90 seconds",
		4*time.Minute - time.Second: "4 minutes", 10 * time.Minute: "10 minutes",
		time.Hour: "1 hour", 14 * 24 * time.Hour: "14 days",
	} {
		if got := inWords(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}

func TestCheckPassword(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "ninechars", strings.Repeat("x", 1025),
		"\xff\xfe invalid text", "ANASTASIA LOPEZ"} {
		if err := checkPassword(stage.NewSecret(text), "Anastasia Lopez"); !errors.Is(err,
			stage.ErrInvalid) {
			t.Errorf("%q: got %v, want ErrInvalid", text, err)
		}
	}
	for _, text := range []string{"tencharact", "十個漢字的密碼很安全", strings.Repeat("x", 1024),
		" spaces around "} {
		if err := checkPassword(stage.NewSecret(text), "Ana"); err != nil {
			t.Errorf("%q: got %v, want none", text, err)
		}
	}
}

func TestAPasswordIsTheSameOnEveryKeyboard(t *testing.T) {
	t.Parallel()
	p := NewPasswords(quick, 1)
	hash, err := p.hashInTurn(t.Context(), "ana", Client{},
		stage.NewSecret("contrase\u00f1a larga"))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"contrasen\u0303a larga": true,
		"contrasena larga": false, "": false} {
		if got, err := p.matches(stage.NewSecret(text), hash); got != want || err != nil {
			t.Errorf("%q: got %v, %v; want %v", text, got, err, want)
		}
	}
	if got, err := p.matches(stage.NewSecret("the password of no account"), ""); got || err != nil {
		t.Errorf("no password chosen: got %v, %v; nothing matches that", got, err)
	}
}

// TestUnknownNamesTakeAsLong: the duration of a sign-in does not reveal whether the name exists,
// because its password is compared with a hash of the same costs. The costs are read from the
// hashes, because a busy machine makes measured times differ.
func TestUnknownNamesTakeAsLong(t *testing.T) {
	t.Parallel()
	p := NewPasswords(quick, 1)
	known, err := p.hashInTurn(t.Context(), "ana", Client{},
		stage.NewSecret("correct horse battery"))
	if err != nil {
		t.Fatal(err)
	}
	var compared []PasswordParams
	p.compare = func(password, hash string) (bool, error) {
		costs, _, _, err := argon2id.DecodeHash(hash)
		if err != nil {
			return false, err
		}
		compared = append(compared, *costs)
		return argon2id.ComparePasswordAndHash(password, hash)
	}
	for _, hash := range []string{known, ""} {
		if same, err := p.matches(stage.NewSecret("wrong password"), hash); same || err != nil {
			t.Errorf("a wrong password: got %v, %v, want no match", same, err)
		}
	}
	if same, err := p.matches(stage.NewSecret("the password of no account"), ""); same ||
		err != nil {
		t.Errorf("the dummy's password: got %v, %v, want no match", same, err)
	}
	if want := []PasswordParams{*quick, *quick, *quick}; !slices.Equal(compared, want) {
		t.Errorf("costs of a known name, and of two unknown: got %v, want %v", compared, want)
	}
}

func TestCache(t *testing.T) {
	t.Parallel()
	var m cache[int, string]
	_, generation, found := m.get(1)
	if found {
		t.Error("an empty cache has an entry")
	}
	m.put(1, "one", generation)
	if got, _, found := m.get(1); !found || got != "one" {
		t.Errorf("get: got %q, %v, want one", got, found)
	}
	m.clear()
	m.put(1, "old", generation) // the value was read before the change
	if _, _, found := m.get(1); found {
		t.Error("a value from before a change is used after it")
	}
	_, generation, _ = m.get(0)
	for i := range 3 * cacheSize {
		m.put(i, "x", generation)
	}
	if n := len(m.entries); n > cacheSize {
		t.Errorf("size: got %d, want at most %d", n, cacheSize)
	}
}
