package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/stagedoor/stagedoor/internal/ivs"
	"github.com/stagedoor/stagedoor/internal/signal"
	"github.com/stagedoor/stagedoor/internal/token"
	"github.com/stagedoor/stagedoor/internal/words"
)

// DoctorCommand is `stagedoor doctor`. It takes the flags of `serve`.
type DoctorCommand struct {
	ServeSettings
	AnswerSettings
	Roots string `help:"Root certificates (PEM) to trust beside the system's, for a public URL with a certificate of your own authority." placeholder:"FILE"`
}

// A finding is the result of one check.
type finding struct {
	Check  string `json:"check"`
	Level  string `json:"level"`            // ok, warning or error
	Detail string `json:"detail"`           // what was found
	Advice string `json:"advice,omitempty"` // what to do
}

const (
	levelOK      = "ok"
	levelWarning = "warning"
	levelError   = "error"
)

// checkLimit limits the time of one check.
const checkLimit = 15 * time.Second

// certificateSoon is how long a certificate must still be valid.
const certificateSoon = 14 * 24 * time.Hour

// Run checks the set-up and prints one line for each finding. Its error contains the number of
// findings of the level error.
func (cmd *DoctorCommand) Run(ctx context.Context, k *kong.Context, p *process) error {
	cmd.derive(p.sources.byDefault(k))
	d := &doctor{settings: cmd.ServeSettings, roots: cmd.Roots}
	findings := d.examine(ctx)
	errorsFound := 0
	for _, f := range findings {
		if f.Level == levelError {
			errorsFound++
		}
	}
	if err := printFindings(p, findings, cmd.JSON); err != nil {
		return err
	}
	if errorsFound > 0 {
		return fmt.Errorf("%d of %d checks found an error", errorsFound, len(findings))
	}
	return nil
}

func printFindings(p *process, findings []finding, asJSON bool) error {
	if asJSON {
		return printJSON(p.out, map[string][]finding{"checks": findings})
	}
	for _, f := range findings {
		line := fmt.Sprintf("%-8s %-13s %s", f.Level, f.Check, f.Detail)
		if f.Advice != "" {
			line += ": " + f.Advice
		}
		if _, err := fmt.Fprintln(p.out, line); err != nil {
			return err
		}
	}
	return nil
}

// A doctor checks the settings and the services that they name.
type doctor struct {
	settings ServeSettings
	function bool // a Lambda function: it has no ports and no local stages
	roots    string
	running  *published // nil if no server runs on the data folder
	public   *url.URL
	client   *http.Client
	seen     *probed // the server's answer to a request through the public URL
}

func (d *doctor) examine(ctx context.Context) (list []finding) {
	const port = true // the check is for a server with ports and local stages
	for _, check := range []struct {
		name string
		run  func(context.Context) finding
		port bool
	}{
		{"settings", d.checkSettings, false}, {"data folder", d.checkData, false},
		{"database", d.checkDatabase, false}, {"local key", d.checkKey, port},
		{"server", d.checkServer, port}, {"media", d.checkMedia, port},
		{"public URL", d.checkPublic, port}, {"certificate", d.checkCertificate, port},
		{"clock", d.checkClock, false}, {"WebSocket", d.checkWebSocket, port},
		{"proxy", d.checkProxy, port}, {"streaming", d.checkStreaming, port},
		{"NAT", d.checkNAT, port}, {"AWS", d.checkAWS, false},
		{"AWS policy", d.checkPolicy, false}, {"sign-in", d.checkProvider, false},
		{"webhooks", d.checkWebhooks, false},
	} {
		if check.port && d.function {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, checkLimit)
		f := check.run(limited)
		cancel()
		if f.Level != "" { // an empty finding means that there was nothing to check
			f.Check = check.name
			list = append(list, f)
		}
	}
	return list
}

// The following functions take the keys of sentences, which are said.doctor.KEY in the language
// files. The console recognizes the sentences and translates them.

func healthy(key string, v words.Values) finding {
	return finding{Level: levelOK, Detail: doctorSays(key, v)}
}

func warning(advice, key string, v words.Values) finding {
	return finding{Level: levelWarning, Detail: doctorSays(key, v), Advice: doctorSays(advice, nil)}
}

func broken(advice, key string, v words.Values) finding {
	return finding{Level: levelError, Detail: doctorSays(key, v), Advice: doctorSays(advice, nil)}
}

// failed returns a finding, as `broken` does. Its detail is the error of another package, and the
// advice may be empty.
func failed(advice string, err error) finding {
	f := finding{Level: levelError, Detail: strings.TrimSuffix(err.Error(), ".")}
	if advice != "" {
		f.Advice = doctorSays(advice, nil)
	}
	return f
}

func doctorSays(key string, v words.Values) string {
	return words.English("said.doctor."+key, v)
}

func (d *doctor) checkSettings(context.Context) finding {
	s := &server{settings: d.settings, log: newLog(LogSettings{LogLevel: "error"}, io.Discard)}
	if err := s.check(); err != nil {
		return failed("", err)
	}
	d.public = s.public
	return healthy("settings", nil)
}

func (d *doctor) checkData(context.Context) finding {
	err := makeDataFolder(d.settings.Data)
	if err != nil {
		return failed("", err)
	}
	if running, err := readPublished(d.settings.Data); err == nil {
		lock, err := lockDataFolder(d.settings.Data)
		if err == nil { // the last server has stopped
			lock.Unlock()
		} else {
			d.running = &running
		}
		if d.public == nil {
			d.public, _ = url.Parse(running.URL)
		}
	}
	return healthy("data", words.Values{"folder": d.settings.Data})
}

func (d *doctor) checkDatabase(ctx context.Context) finding {
	if d.settings.Database == "" {
		if err := checkDatabase(d.settings.DataSettings); err != nil {
			return warning("firstStart", "noDatabase", nil)
		}
	}
	db, err := openStore(ctx, d.settings.DataSettings,
		newLog(LogSettings{LogLevel: "error"}, io.Discard))
	if err != nil {
		return failed("", err)
	}
	defer db.Close()
	if err := db.Ping(ctx); err != nil {
		return failed("", err)
	}
	return healthy("database", words.Values{"database": d.settings.databaseName()})
}

func (d *doctor) checkKey(context.Context) finding {
	_, err := token.LoadKey(d.settings.LocalKeySettings.file(d.settings.Data))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return warning("firstStart", "noKey", nil)
	case err != nil:
		return failed("restore", err)
	}
	return healthy("key", nil)
}

// checkServer sends a request to the running server. If none runs, it checks that a server could
// open its ports.
func (d *doctor) checkServer(ctx context.Context) finding {
	if d.running == nil {
		if err := d.tryPorts(); err != nil {
			return failed("", err)
		}
		return warning("start", "notRunning", nil)
	}
	u, err := d.running.local()
	if err != nil {
		return failed("", err)
	}
	answer, err := get(ctx, d.running.client(), u.JoinPath("healthz"))
	if err != nil {
		return failed("log", err)
	}
	if answer.StatusCode != http.StatusOK {
		return broken("log", "answers", words.Values{"address": u, "status": answer.Status})
	}
	return healthy("server", words.Values{"listen": d.running.Listen, "media": d.running.Media})
}

func (d *doctor) tryPorts() error {
	tcp, err := net.Listen("tcp", d.settings.Listen)
	if err != nil {
		return bothPorts(portError(err, d.settings.Listen, "--listen"), d.settings.Media)
	}
	tcp.Close()
	udp, err := net.ListenPacket("udp", d.settings.Media)
	if err != nil {
		return portError(err, d.settings.Media, "--media")
	}
	udp.Close()
	return nil
}

// checkMedia checks whether clients elsewhere could send media to the announced addresses.
func (d *doctor) checkMedia(ctx context.Context) finding {
	if d.public != nil {
		for _, missing := range d.settings.missing(d.public, interfaceAddresses()) {
			if strings.HasPrefix(missing, "--media") {
				return finding{Level: levelWarning, Detail: missing}
			}
		}
	}
	for _, host := range d.settings.MediaHosts {
		if _, err := netip.ParseAddr(host); err == nil {
			continue
		}
		if _, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host); err != nil {
			return broken("mediaHosts", "noAddress", words.Values{"host": host})
		}
	}
	return healthy("media", words.Values{"address": d.settings.Media})
}

// checkPublic requests the public URL as a browser elsewhere would.
func (d *doctor) checkPublic(ctx context.Context) finding {
	if d.running == nil || d.public == nil {
		return finding{}
	}
	client, err := d.outside()
	if err != nil {
		return failed("roots", err)
	}
	answer, err := get(ctx, client, d.public.JoinPath("healthz"))
	switch {
	case err != nil:
		return broken("dns", "unreached", words.Values{"address": d.public, "error": shortest(err)})
	case answer.StatusCode != http.StatusOK:
		return broken("leadThere", "healthz",
			words.Values{"address": d.public, "status": answer.Status})
	}
	return healthy("public", words.Values{"address": d.public})
}

// outside returns an HTTP client that trusts the certificates of the system, as OBS does, and those
// of --roots.
func (d *doctor) outside() (*http.Client, error) {
	if d.client != nil {
		return d.client, nil
	}
	config := &tls.Config{}
	if d.roots != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return nil, err
		}
		text, err := os.ReadFile(d.roots)
		if err != nil || !pool.AppendCertsFromPEM(text) {
			return nil, errors.Join(fmt.Errorf("%s holds no certificate", d.roots), err)
		}
		config.RootCAs = pool
	}
	d.client = &http.Client{
		Transport: &http.Transport{TLSClientConfig: config},
		CheckRedirect: func(*http.Request,
			[]*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
	return d.client, nil
}

// checkCertificate verifies the certificate chain as OBS does: OBS has no setting to accept an
// invalid certificate.
func (d *doctor) checkCertificate(ctx context.Context) finding {
	if d.running == nil || d.public == nil {
		return finding{}
	}
	if d.public.Scheme != "https" {
		if isLocal(d.public.Hostname()) {
			return finding{}
		}
		return warning("encrypt", "plain", words.Values{"address": d.public})
	}
	client, err := d.outside()
	if err != nil {
		return failed("roots", err)
	}
	answer, err := get(ctx, client, d.public.JoinPath("healthz"))
	if err != nil {
		return failed("chain", shortest(err))
	}
	leaf := answer.TLS.PeerCertificates[0]
	if left := time.Until(leaf.NotAfter); left < certificateSoon {
		return warning("renew", "certificateEnds",
			words.Values{"day": leaf.NotAfter.Format("2 January 2006")})
	}
	return healthy("certificate", words.Values{"day": leaf.NotAfter.Format("2 January 2006")})
}

// checkClock compares this machine's clock with the Date header of a response from the public URL.
// The proxy or the server that sends the response sets this header from its own clock.
func (d *doctor) checkClock(ctx context.Context) finding {
	if now := time.Now(); now.Year() < 2025 {
		return broken("setClock", "clockWrong", words.Values{"time": now.Format(time.RFC3339)})
	}
	if d.running == nil || d.public == nil {
		return finding{Level: levelOK, Detail: time.Now().UTC().Format("2006-01-02 15:04 MST")}
	}
	client, err := d.outside()
	if err != nil {
		return finding{}
	}
	answer, err := get(ctx, client, d.public.JoinPath("healthz"))
	if err != nil {
		return finding{} // another check has reported it
	}
	there, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		return finding{Level: levelOK, Detail: time.Now().UTC().Format("2006-01-02 15:04 MST")}
	}
	if away := time.Since(there).Abs(); away > time.Minute {
		return warning("synchronize", "clockDiffers",
			words.Values{"host": d.public.Host, "time": away.Round(time.Second)})
	}
	return healthy("clock", words.Values{"host": d.public.Host})
}

// checkWebSocket opens the events socket through the public URL. The server closes the socket after
// the upgrade, because the request has no token.
func (d *doctor) checkWebSocket(ctx context.Context) finding {
	if d.running == nil || d.public == nil {
		return finding{}
	}
	client, err := d.outside()
	if err != nil {
		return finding{}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet,
		d.public.JoinPath(signal.Path).String(), nil)
	if err != nil {
		return failed("", err)
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Key", "c3RhZ2Vkb29yIGRvY3Rvcg==")
	answer, err := client.Do(r)
	if err != nil {
		return finding{} // another check has reported it
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return broken("upgradeHeaders", "noUpgrade",
			words.Values{"host": d.public.Host, "status": answer.Status})
	}
	return healthy("upgrades", words.Values{"host": d.public.Host})
}

// checkAWS lists the stages of each region. The call needs AWS credentials and the permission
// ivs:ListStages.
func (d *doctor) checkAWS(ctx context.Context) finding {
	if len(d.settings.IVSRegion) == 0 || d.settings.AWSSettings.check() != nil {
		return finding{}
	}
	side, err := openAWS(ctx, d.settings.AWSSettings, d.settings.Data, ivs.Config{}, nil)
	if err != nil {
		return failed("seeIvs", forPerson(err))
	}
	for _, region := range d.settings.IVSRegion {
		if _, err := side.StagesOf(ctx, region); err != nil {
			return broken("awsRights", "unreached",
				words.Values{"address": region, "error": forPerson(err)})
		}
	}
	return healthy("aws", words.Values{"regions": strings.Join(d.settings.IVSRegion, ", ")})
}

// get sends a GET request. It closes the body of the response without reading it.
func get(ctx context.Context, client *http.Client, u *url.URL) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	return answer, answer.Body.Close()
}

// shortest removes the method and the URL from an error of the HTTP client.
func shortest(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}
