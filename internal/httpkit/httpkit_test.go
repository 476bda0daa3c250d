package httpkit_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"testing"

	"github.com/stagedoor/stagedoor/internal/httpkit"
)

func TestBearer(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"": "", "Bearer": "", "Bearer abc": "abc", "bearer abc": "abc", "BEARER  abc ": "abc",
		"Basic abc": "", "abc": "", "Bearerabc": "",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", header)
		if got := httpkit.Bearer(r).Reveal(); got != want {
			t.Errorf("%q: got %q, want %q", header, got, want)
		}
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	for path, want := range map[string][]string{
		"": nil, "/": nil, "/whip": {"whip"}, "//whip/": {"whip"},
		"/whip//s/x/": {"whip", "s", "x"},
	} {
		got := httpkit.Segments(path)
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", path, got, want)
		}
		first := ""
		if len(want) > 0 {
			first = want[0]
		}
		if got := httpkit.FirstSegment(path); got != first {
			t.Errorf("%q: got first segment %q, want %q", path, got, first)
		}
	}
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	const xff, forwarded = "X-Forwarded-For", "Forwarded"
	trusted := httpkit.Proxies{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"),
		netip.MustParsePrefix("fe80::/10"),
	}
	for _, c := range []struct {
		name, peer, header, value, want string
	}{
		{"direct", "192.0.2.1:5000", "", "", "192.0.2.1"},
		{"direct, without port", "192.0.2.1", "", "", "192.0.2.1"},
		{"direct, IPv6", "[2001:db8::1]:5000", "", "", "2001:db8::1"},
		{"direct, IPv6 without port", "2001:db8::1", "", "", "2001:db8::1"},
		{"direct, IPv4 in IPv6", "[::ffff:192.0.2.1]:5000", "", "", "192.0.2.1"},
		{"unknown peer", "@", xff, "192.0.2.7", "invalid IP"},
		{"a stranger's header", "192.0.2.1:5000", xff, "192.0.2.7", "192.0.2.1"},
		{"a stranger's Forwarded", "192.0.2.1:5000", forwarded, "for=192.0.2.7", "192.0.2.1"},
		{"proxy", "10.0.0.1:5000", xff, "192.0.2.7", "192.0.2.7"},
		{"proxy, forged first entry", "10.0.0.1:5000", xff, "198.51.100.1, 192.0.2.7", "192.0.2.7"},
		{"two proxies", "10.0.0.1:5000", xff, "192.0.2.7, 10.0.0.2", "192.0.2.7"},
		{"all trusted", "10.0.0.1:5000", xff, "10.0.0.3, 10.0.0.2", "10.0.0.3"},
		{"with a port", "10.0.0.1:5000", xff, "192.0.2.7:4711", "192.0.2.7"},
		{"IPv6", "10.0.0.1:5000", xff, "2001:db8::7", "2001:db8::7"},
		{"IPv6 in brackets", "10.0.0.1:5000", xff, "[2001:db8::7]", "2001:db8::7"},
		{"IPv6 with a port", "10.0.0.1:5000", xff, "[2001:db8::7]:4711", "2001:db8::7"},
		{"proxy with a zone", "[fe80::1%eth0]:5000", xff, "192.0.2.7", "192.0.2.7"},
		{"proxy between with a port", "10.0.0.1:5000", xff, "192.0.2.7:1, [fd00::2]:2",
			"192.0.2.7"},
		{"no address", "10.0.0.1:5000", xff, "192.0.2.7, unknown", "10.0.0.1"},
		{"empty", "10.0.0.1:5000", xff, "", "10.0.0.1"},
		{"Forwarded", "10.0.0.1:5000", forwarded, "for=192.0.2.7;proto=https", "192.0.2.7"},
		{"Forwarded, quoted", "10.0.0.1:5000", forwarded,
			`By=10.0.0.1; For="[2001:db8::7]:4711"`, "2001:db8::7"},
		{"Forwarded, two", "10.0.0.1:5000", forwarded,
			`for="198.51.100.1, for=9.9.9.9", for=192.0.2.7, for=10.0.0.2`, "192.0.2.7"},
		{"Forwarded, hidden", "10.0.0.1:5000", forwarded, "for=192.0.2.7, for=_hidden", "10.0.0.1"},
		{"Forwarded, without for", "10.0.0.1:5000", forwarded,
			"for=192.0.2.7, proto=https", "10.0.0.1"},
		{"Forwarded, forged with an open quote", "10.0.0.1:5000", forwarded,
			`for=198.51.100.1;by=", for=192.0.2.7`, "192.0.2.7"},
		{"Forwarded, forged with an open quote before a quoted one", "10.0.0.1:5000", forwarded,
			`for=198.51.100.1;by=", for="[2001:db8::7]:4711"`, "2001:db8::7"},
		{"Forwarded, forged with a backslash", "10.0.0.1:5000", forwarded,
			`for=198.51.100.1;by="\", for=192.0.2.7`, "192.0.2.7"},
		{"Forwarded, forged twice", "10.0.0.1:5000", forwarded,
			`for=198.51.100.1;by=", for=192.0.2.7, for=10.0.0.2`, "192.0.2.7"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		if got := trusted.Client(r).String(); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "10.0.0.1:5000"
	r.Header = http.Header{xff: {"198.51.100.1", "192.0.2.7"}, forwarded: {"for=203.0.113.9"}}
	if got := trusted.Client(r).String(); got != "192.0.2.7" {
		t.Errorf("both headers: got %s, want that of X-Forwarded-For", got)
	}
}

func FuzzClientAddress(f *testing.F) {
	f.Add("192.0.2.1, [2001:db8::1]:80", `for="[2001:db8::7]:4711";by=_x`)
	f.Fuzz(func(t *testing.T, list, forwarded string) {
		everywhere := httpkit.Proxies{
			netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"),
		}
		for _, h := range []http.Header{{"X-Forwarded-For": {list}}, {"Forwarded": {forwarded}}} {
			r := &http.Request{RemoteAddr: "127.0.0.1:80", Header: h}
			if a := everywhere.Client(r); !a.IsValid() || a.Zone() != "" || a.Is4In6() {
				t.Errorf("%q: got the client %v, want a valid address without zone", h, a)
			}
		}
	})
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "2001:db8:1:2:3::4": "2001:db8:1:2::/64",
	} {
		if got := httpkit.Network(netip.MustParseAddr(address)).String(); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
	if got := httpkit.Network(netip.Addr{}); got != (netip.Prefix{}) {
		t.Errorf("an unknown address is in the network %s, want the zero one", got)
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	app := httpkit.CORS{
		Origins: []string{"https://app.example"}, Headers: "Authorization", Expose: "ETag",
	}
	for _, c := range []struct {
		name   string
		cors   httpkit.CORS
		origin string
		want   bool
	}{
		{"listed", app, "https://app.example", true},
		{"another", app, "https://evil.example", false},
		{"longer", app, "https://app.example.evil.example", false},
		{"no browser", app, "", false},
		{"all", httpkit.CORS{Origins: []string{"*"}}, "https://evil.example", true},
		{"all, no browser", httpkit.CORS{Origins: []string{"*"}}, "", false},
		{"none", httpkit.CORS{}, "https://app.example", false},
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Origin", c.origin)
		got := c.cors.Allow(w, r)
		allowed := w.Header().Get("Access-Control-Allow-Origin")
		if got != c.want || (allowed == c.origin && allowed != "") != c.want {
			t.Errorf("%s: got %v and %q, want %v", c.name, got, allowed, c.want)
		}
		if w.Header().Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: cookies are allowed", c.name)
		}
		if w.Header().Get("Vary") != "Origin" {
			t.Errorf("%s: a cache may mix up origins", c.name)
		}
	}
	w := httptest.NewRecorder()
	app.Preflight(w, "GET", "POST")
	for name, want := range map[string]string{
		"Access-Control-Allow-Methods": "GET, POST",
		"Access-Control-Allow-Headers": "Authorization",
		"Access-Control-Max-Age":       "7200",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
