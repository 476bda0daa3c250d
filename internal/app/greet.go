package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/web"
)

// greet prints the addresses of the server, the missing settings and the next step.
func (s *server) greet(ctx context.Context, p *process) error {
	fmt.Fprintf(p.out, "Stagedoor %s serves on %s (HTTP %s, media %s)\n",
		version(), s.public, s.listen.Addr(), s.local.media.Addr())
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "Data:\t%s, %s\n", s.settings.Data, s.settings.databaseName())
	if s.plain != nil {
		fmt.Fprintf(w, "Also:\tHTTP → HTTPS %s\n", s.plain.Addr())
	}
	if tcp := s.local.media.TCPAddr(); tcp.IsValid() {
		fmt.Fprintf(w, "Also:\tmedia over TCP %s\n", tcp)
	}
	if s.metricsListen != nil {
		fmt.Fprintf(w, "Metrics:\thttp://%s/metrics\n", s.metricsListen.Addr())
	}
	for _, u := range s.onTheNetwork() {
		fmt.Fprintf(w, "Also:\t%s\n", u)
	}
	fmt.Fprintf(w, "Dock:\t%s (in OBS: Docks → Custom Browser Docks…)\n", s.public.JoinPath("dock"))
	for _, missing := range s.settings.missing(s.public, interfaceAddresses()) {
		fmt.Fprintf(w, "Missing:\t%s\n", missing)
	}
	if err := s.greetOperator(ctx, w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(p.out, "Stop with Ctrl+C.")
	return nil
}

// greetOperator prints the setup link for the first operator, or where operators sign in.
func (s *server) greetOperator(ctx context.Context, w io.Writer) error {
	byProvider := fmt.Sprintf("sign in at %s with %s, with an account that --oidc-operators names",
		s.public, s.settings.OIDCName)
	code, err := s.control.Setup.NewCode(ctx)
	switch {
	case err == nil:
		fmt.Fprintf(w, "Setup:\t%s\n\tThere is no operator yet: open this link once to become it. "+
			"Each start prints a new one.\n", web.SetupURL(s.public, code))
		if s.control.Setup.ProviderMakesOperators() {
			fmt.Fprintf(w, "\tOr %s.\n", byProvider)
		}
	case errors.Is(err, stage.ErrDenied): // passwords are switched off
		fmt.Fprintf(w, "Setup:\t%s\n\tThere is no operator yet.\n", byProvider)
	case errors.Is(err, stage.ErrConflict): // an operator exists
		fmt.Fprintf(w, "Next:\tsign in at %s\n", s.public)
	default:
		return err
	}
	return nil
}

// databaseName returns the name of the database engine, and for PostgreSQL also the host, but no
// password.
func (s DataSettings) databaseName() string {
	if s.Database == "" {
		return "SQLite"
	}
	if u, err := url.Parse(s.Database); err == nil && u.Host != "" {
		return "PostgreSQL at " + u.Host
	}
	return "PostgreSQL"
}

// onTheNetwork returns the URLs at which other machines reach the server.
func (s *server) onTheNetwork() (list []string) {
	listen := s.listen.Addr().(*net.TCPAddr)
	if !listen.IP.IsUnspecified() || s.settings.PublicURL != "" || len(s.settings.TLSDomain) > 0 {
		return nil
	}
	for _, a := range interfaceAddresses() {
		if a.IsLoopback() || a.IsLinkLocalUnicast() {
			continue
		}
		own := *listen
		own.IP = a.AsSlice()
		list = append(list, ownURL(&own, s.certs != nil).String())
	}
	return list
}

func interfaceAddresses() (list []netip.Addr) {
	all, err := net.InterfaceAddrs()
	if err != nil { // the addresses are only for advice
		return nil
	}
	for _, a := range all {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			list = append(list, prefix.Addr())
		}
	}
	return list
}

// missing lists the settings that the server lacks for the use from other machines. It also lists
// HTTPS if clients elsewhere would send passwords and tokens unencrypted. The parameter `own` has
// the addresses of this machine.
func (s *ServeSettings) missing(public *url.URL, own []netip.Addr) (list []string) {
	listensOut, mediaOut := reachesOut(s.Listen), reachesOut(s.Media)
	publicOut := !isLocal(public.Hostname())
	if listensOut && !publicOut {
		list = append(list, "--public-url: links and tokens lead to "+public.String()+
			", which only this machine can open")
	}
	if (listensOut || publicOut) && !mediaOut {
		list = append(list, "--media: media reaches only this machine; --media 0.0.0.0"+portPart(
			s.Media)+
			" takes it from everywhere")
	}
	if publicOut && mediaOut && len(s.MediaHosts) == 0 && !hasPublic(own) {
		list = append(
			list, "--media-hosts: this machine has private addresses alone; browsers and OBS "+
				"elsewhere need its outer address")
	}
	if publicOut && public.Scheme == "http" {
		list = append(
			list, "HTTPS: passwords and tokens are sent unencrypted; --tls-domain "+
				"obtains a certificate")
	}
	return list
}

// reachesOut reports whether other machines can reach a listen address.
func reachesOut(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && (host == "" || !isLocal(host))
}

func isLocal(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

func portPart(address string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	return ":" + cmp.Or(port, "8189")
}

// hasPublic reports whether the Internet can reach one of the addresses.
func hasPublic(own []netip.Addr) bool {
	for _, a := range own {
		if a.IsGlobalUnicast() && !a.IsPrivate() && !sharedAddresses.Contains(a) {
			return true
		}
	}
	return false
}

// sharedAddresses are the addresses of carrier-grade NAT (RFC 6598).
var sharedAddresses = netip.MustParsePrefix("100.64.0.0/10")
