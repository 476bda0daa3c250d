package app

import (
	"bufio"
	"context"
	"encoding/json"
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
	"github.com/stagedoor/stagedoor/internal/words"
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
		return warning("trustProxy", "untrusted", words.Values{"address": p.Address})
	case p.Proxied && p.Forwarding == "none":
		return warning("forwardedFor", "noNames", words.Values{"address": p.Address})
	case d.public.Host != p.Host:
		return warning("passHost", "otherHost",
			words.Values{"host": d.public.Host, "other": p.Host})
	case p.Proxied:
		return healthy("proxy", words.Values{"address": p.Address})
	}
	return healthy("noProxy", words.Values{"address": p.Address})
}

// checkStreaming checks that the proxy does not buffer event streams.
func (d *doctor) checkStreaming(ctx context.Context) finding {
	p := d.probe(ctx)
	switch {
	case p == nil:
		return finding{}
	case p.gap < leastGap:
		return broken("buffering", "heldBack", words.Values{"host": d.public.Host})
	}
	return healthy("streaming", words.Values{"host": d.public.Host})
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
		return warning("stunName", "stunSilent",
			words.Values{"server": server, "error": shortest(err)})
	}
	if slices.Contains(d.settings.MediaHosts, outer.String()) {
		return healthy("announced", words.Values{"address": outer})
	}
	if len(d.settings.MediaHosts) == 0 && slices.Contains(interfaceAddresses(), outer) {
		return healthy("outside", words.Values{"address": outer})
	}
	return warning("nameHost", "unannounced", words.Values{"address": outer})
}

// checkPolicy tries actions of the IAM policy in such a way that nothing changes at AWS.
func (d *doctor) checkPolicy(ctx context.Context) finding {
	if len(d.settings.IVSRegion) == 0 || d.settings.AWSSettings.check() != nil {
		return finding{}
	}
	side, err := openAWS(ctx, d.settings.AWSSettings, d.settings.Data, ivs.Config{}, nil)
	if err != nil {
		return finding{} // another check has reported it
	}
	var missing, unknown []string
	tried := 0
	for _, region := range d.settings.IVSRegion {
		list, err := side.Permissions(ctx, region)
		if err != nil {
			return failed("", forPerson(err))
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
		return broken("addRights", "missingRights",
			words.Values{"actions": strings.Join(missing, ", ")})
	case len(unknown) > 0:
		return warning("tryAgain", "unknownRights",
			words.Values{"actions": strings.Join(unknown, ", ")})
	}
	return healthy("rights", words.Values{"n": tried})
}

// checkProvider reads the discovery document of the OpenID Connect provider. It also checks whether
// the provider sends the claims that decide about access.
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
		return failed("issuer", forPerson(err))
	}
	report := d.claims(ctx)
	if len(report.Unseen) > 0 {
		return warning("signInOnce", "unseenClaim", words.Values{"claim": report.Unseen[0].Name})
	}
	if len(report.Missing) > 0 {
		claim := report.Missing[0]
		return warning("askClaim", "noClaim", words.Values{"claim": claim.Name, "by": claim.By})
	}
	return healthy("provider", words.Values{"issuer": settings.OIDCIssuer})
}

// claims reports which claims the provider possibly does not send, among the claims that decide
// about access. It compares the policy and the rules with the claims of earlier sign-ins in the
// database.
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

// checkWebhooks finds the webhooks with dead deliveries.
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
			return failed("", err)
		case len(dead) > 0:
			troubled = append(troubled, deadHook(hook, dead[0]))
		}
	}
	if len(troubled) > 0 {
		return warning("receiver", "givenUp", words.Values{"hooks": strings.Join(troubled, "; ")})
	}
	return healthy("webhooks", words.Values{"n": len(hooks)})
}

// deadHook describes a webhook with dead deliveries. It names only the host, because the rest of
// the URL may be a secret of the receiver.
func deadHook(hook access.Webhook, newest access.Delivery) string {
	host := "a receiver"
	if u, err := url.Parse(hook.URL); err == nil {
		host = u.Host
	}
	return host + " (" + newest.Reason + ")"
}
