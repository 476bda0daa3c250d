package app

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// TestMissingSettings: at the start, the server names the settings that other machines need, and no
// others.
func TestMissingSettings(t *testing.T) {
	t.Parallel()
	private := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.168.1.5")}
	outer := append(slices.Clone(private), netip.MustParseAddr("203.0.113.7"))
	for _, c := range []struct {
		listen, media, public string
		hosts                 []string
		own                   []netip.Addr
		want                  []string
	}{
		{"127.0.0.1:8080", "127.0.0.1:8189", "http://127.0.0.1:8080", nil, private, nil},
		{"localhost:8080", "[::1]:8189", "http://localhost:8080", nil, private, nil},
		{"0.0.0.0:8080", "127.0.0.1:8189", "http://127.0.0.1:8080", nil, private,
			[]string{"--public-url", "--media:"}},
		{":8080", ":8189", "http://127.0.0.1:8080", nil, private, []string{"--public-url"}},
		{"127.0.0.1:8080", "127.0.0.1:8189", "https://stage.example.com", nil, outer,
			[]string{"--media:"}},
		{"127.0.0.1:8080", "0.0.0.0:8189", "https://stage.example.com", nil, private,
			[]string{"--media-hosts"}},
		{"127.0.0.1:8080", "0.0.0.0:8189", "https://stage.example.com", []string{"203.0.113.7"},
			private, nil},
		{":443", "0.0.0.0:8189", "https://stage.example.com", nil, outer, nil},
		{":80", "0.0.0.0:8189", "http://stage.example.com", nil, outer, []string{"HTTPS"}},
	} {
		public, err := url.Parse(c.public)
		if err != nil {
			t.Fatal(err)
		}
		s := ServeSettings{Listen: c.listen, Media: c.media, MediaHosts: c.hosts}
		got := s.missing(public, c.own)
		if !slices.EqualFunc(got, c.want, strings.HasPrefix) {
			t.Errorf("--listen %s --media %s --public-url %s: got %q, want %q", c.listen, c.media,
				c.public, got, c.want)
		}
	}
}
