package app

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/ivs"
	"github.com/stagedoor/stagedoor/internal/oidc"
	"github.com/stagedoor/stagedoor/internal/sfu"
	"github.com/stagedoor/stagedoor/internal/web"
)

// leastGap is the least time between the arrivals of the two events of a probe, which the server
// sends a second apart. A shorter time means that a proxy buffers events.
const leastGap = 300 * time.Millisecond

// A probed is the response to a probe through the public URL.
type probed struct {
	web.Probe
	gap time.Duration // time between the two events of the response
}

// probe sends one request through the public URL and keeps the response for all checks. If the
// request fails, it returns nil, and checkPublic reports the failure.
func (d *doctor) probe(ctx context.Context) *probed {
	if d.seen != nil || d.running == nil || d.public == nil {
		return d.seen
	}
	client, err := d.outside()
	if err != nil {
		return nil
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet,
		d.public.JoinPath("api", "probe").String(), nil)
	if err != nil {
		return nil
	}
	answer, err := client.Do(r)
	if err != nil {
		return nil
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil
	}
	d.seen = readProbe(answer.Body)
	return d.seen
}

func readProbe(body io.Reader) *probed {
	var p probed
	var first time.Time
	for lines := bufio.NewScanner(body); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		switch {
		case !ok:
		case first.IsZero():
			first = time.Now()
			if json.Unmarshal([]byte(data), &p.Probe) != nil {
				return nil
			}
		default:
			p.gap = time.Since(first)
			return &p
		}
	}
	return nil
}

// checkProxy checks whether the server knows the addresses of its clients. If the server sees only
// the address of a proxy, all clients share the rate limits of one client.
func (d *doctor) checkProxy(ctx context.Context) finding {
	p := d.probe(ctx)
	switch {
	case p == nil:
		return finding{}
	case p.Forwarding == "ignored":
		return warning(
			"add the proxy's network to --trusted-proxies; otherwise all clients share one "+
				"rate limit",
			"a proxy passes on the addresses of clients, and its address %s is not trusted",
			p.Address)
	case p.Proxied && p.Forwarding == "none":
		return warning("let the proxy set X-Forwarded-For; otherwise all clients share one rate "+
			"limit",
			"the trusted proxy at %s does not pass on the addresses of clients", p.Address)
	case d.public.Host != p.Host:
		return warning("let the proxy pass the header Host: old browsers are refused without it",
			"requests to %s arrive for %s", d.public.Host, p.Host)
	case p.Proxied:
		return healthy("the proxy passes on the addresses of clients; the server sees this "+
			"machine at %s", p.Address)
	}
	return healthy(
		"there is no proxy in front of the server; the server sees this machine at %s", p.Address)
}

// checkStreaming checks that the proxy does not buffer event streams.
func (d *doctor) checkStreaming(ctx context.Context) finding {
	p := d.probe(ctx)
	switch {
	case p == nil:
		return finding{}
	case p.gap < leastGap:
		return broken("switch its response buffering off for /api (nginx: proxy_buffering off)",
			fmt.Errorf(
				"events are held back on the way through %s: docks would learn everything late",
				d.public.Host))
	}
	return healthy("events pass through %s at once", d.public.Host)
}

// checkNAT compares the announced media addresses with the address that a STUN server sees.
func (d *doctor) checkNAT(ctx context.Context) finding {
	i := slices.IndexFunc(d.settings.TURN, func(s string) bool {
		return strings.HasPrefix(s,
			"stun:")
	})
	if i < 0 {
		return finding{}
	}
	server := strings.TrimPrefix(d.settings.TURN[i], "stun:")
	outer, err := sfu.OutsideAddress(ctx, server)
	if err != nil {
		return warning("check its name and that a firewall lets UDP through",
			"the STUN server %s does not answer (%v)", server, shortest(err))
	}
	if slices.Contains(d.settings.MediaHosts, outer.String()) {
		return healthy("media is announced at %s, which the STUN server sees", outer)
	}
	if len(d.settings.MediaHosts) == 0 && slices.Contains(interfaceAddresses(), outer) {
		return healthy("this machine has the address %s, which the STUN server sees", outer)
	}
	return warning("announce the address with --media-hosts, and let the router pass the media "+
		"port on",
		"clients elsewhere see this machine at %s, and media is not announced at that address",
		outer)
}

// checkPolicy tries each action of the IAM policy that can be tried without changing anything.
func (d *doctor) checkPolicy(ctx context.Context) finding {
	if len(d.settings.IVSRegion) == 0 || d.settings.AWSSettings.check() != nil {
		return finding{}
	}
	side, err := openAWS(ctx, d.settings.AWSSettings, d.settings.Data, ivs.Config{})
	if err != nil {
		return finding{} // another check has reported it
	}
	var missing, unknown []string
	tried := 0
	for _, region := range d.settings.IVSRegion {
		list, err := side.Permissions(ctx, region)
		if err != nil {
			return broken("", forPerson(err))
		}
		for _, p := range list {
			tried++
			switch {
			case p.Missing:
				missing = append(missing, p.Action)
			case p.Err != nil:
				unknown = append(unknown, p.Action)
			}
		}
	}
	switch {
	case len(missing) > 0:
		return broken("add them to the policy, as docs/ivs.md lists them",
			fmt.Errorf("AWS does not allow %s", strings.Join(missing, ", ")))
	case len(unknown) > 0:
		return warning("try again", "AWS did not say whether it allows %s",
			strings.Join(unknown, ", "))
	}
	return healthy(
		"AWS allows the %d actions that change nothing; ivs:CreateStage and ivs:ImportPublicKey "+
			"are not tested: a missing one shows at its first use", tried)
}

// checkProvider reads the discovery document of the OpenID Connect provider.
func (d *doctor) checkProvider(ctx context.Context) finding {
	settings := &d.settings.SignInSettings
	if settings.OIDCIssuer == "" || settings.check() != nil {
		return finding{}
	}
	provider := oidc.New(oidc.Config{
		Issuer: settings.OIDCIssuer, ClientID: settings.OIDCClientID, Now: time.Now,
		Log: newLog(LogSettings{LogLevel: "error"}, io.Discard),
	})
	if err := provider.Check(ctx); err != nil {
		return broken(
			"check --oidc-issuer against the provider's discovery document, and that this "+
				"machine reaches it", forPerson(err))
	}
	report := d.claims(ctx)
	if len(report.Unseen) > 0 {
		return warning("sign in with the provider once, and check again",
			"nobody has signed in since --oidc-scopes changed: whether the provider sends the "+
				"claim `%s` is not known", report.Unseen[0].Name)
	}
	if len(report.Missing) > 0 {
		claim := report.Missing[0]
		return warning("ask for it with --oidc-scopes, or let the provider add it",
			"the provider sent no claim `%s`, which %s names", claim.Name, claim.By)
	}
	return healthy("%s publishes what sign-in needs", settings.OIDCIssuer)
}

// claims reports which of the claims that decide about access the provider sends, as far as the
// database shows.
func (d *doctor) claims(ctx context.Context) access.ClaimsReport {
	if d.settings.Database == "" && checkDatabase(d.settings.DataSettings) != nil {
		return access.ClaimsReport{}
	}
	policy, err := d.settings.policy()
	if err != nil {
		return access.ClaimsReport{} // another check has reported it
	}
	db, err := openStore(ctx, d.settings.DataSettings,
		newLog(LogSettings{LogLevel: "error"}, io.Discard))
	if err != nil {
		return access.ClaimsReport{}
	}
	defer db.Close()
	report, err := access.ReportClaims(ctx, db, policy)
	if err != nil {
		return access.ClaimsReport{}
	}
	return report
}

// checkWebhooks counts the deliveries that failed.
func (d *doctor) checkWebhooks(ctx context.Context) finding {
	if d.settings.Database == "" && checkDatabase(d.settings.DataSettings) != nil {
		return finding{}
	}
	db, err := openStore(ctx, d.settings.DataSettings,
		newLog(LogSettings{LogLevel: "error"}, io.Discard))
	if err != nil {
		return finding{} // another check has reported it
	}
	defer db.Close()
	hooks, err := db.Webhooks(ctx)
	if err != nil || len(hooks) == 0 {
		return finding{}
	}
	var troubled []string
	for _, hook := range hooks {
		dead, err := db.DeadDeliveries(ctx, hook.ID, 1)
		switch {
		case err != nil:
			return broken("", err)
		case len(dead) > 0:
			troubled = append(troubled, deadHook(hook, dead[0]))
		}
	}
	if len(troubled) > 0 {
		return warning("mend the receiver, then send the messages again in the console (Webhooks)",
			"messages were given up: %s", strings.Join(troubled, "; "))
	}
	return healthy("%d; no message was given up", len(hooks))
}

// deadHook describes a webhook with failed deliveries. It names only the host, because the rest of
// the URL may be a secret of the receiver.
func deadHook(hook access.Webhook, newest access.Delivery) string {
	host := "a receiver"
	if u, err := url.Parse(hook.URL); err == nil {
		host = u.Host
	}
	return host + " (" + newest.Reason + ")"
}
