package app

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
)

// parsePublicURL parses the URL at which clients reach the server.
func parsePublicURL(text string) (*url.URL, error) {
	u, err := parseOrigin(text)
	if err != nil {
		return nil, fmt.Errorf(
			"--public-url must be like https://stage.example.com, without a path, not %q", text)
	}
	if ip := net.ParseIP(u.Hostname()); ip != nil && ip.IsUnspecified() {
		return nil, fmt.Errorf(
			"--public-url is what browsers and OBS open; others cannot open %s: name the host, or "+
				"one of its addresses", text)
	}
	return u, nil
}

// checkOrigins refuses values that are not origins as browsers send them: such a value would match
// no page, without an error.
func checkOrigins(origins []string) error {
	for _, text := range origins {
		if text == "*" {
			continue
		}
		if u, err := parseOrigin(text); err != nil || u.String() != text {
			return fmt.Errorf(
				"--allow-origins takes origins like https://app.example.com, without a slash at "+
					"the end, or *, not %q", text)
		}
	}
	return nil
}

var errNoOrigin = errors.New("not scheme, host and port")

// parseOrigin parses a scheme, a host and an optional port (RFC 6454, 6.2). A slash at the end is
// accepted and dropped.
func parseOrigin(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, err
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", u.User != nil,
		u.Path != "" && u.Path != "/",
		u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return nil, errNoOrigin
	}
	if port := u.Port(); port != "" || u.Host[len(u.Host)-1] == ':' {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, errNoOrigin
		}
	}
	u.Path = ""
	return u, nil
}

// checkAddress refuses a text that is not of the form HOST:PORT. The host may be empty.
func checkAddress(flag, text string) error {
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil || port == "" {
		return fmt.Errorf("%s takes HOST:PORT, such as 127.0.0.1:8080, not %q", flag, text)
	}
	return nil
}

// ownURL returns the URL at which programs on this machine reach the server.
func ownURL(address *net.TCPAddr, tls bool) *url.URL {
	u := &url.URL{Scheme: "http"}
	if tls {
		u.Scheme = "https"
	}
	host := address.IP.String()
	if address.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	u.Host = net.JoinHostPort(host, strconv.Itoa(address.Port))
	return u
}
