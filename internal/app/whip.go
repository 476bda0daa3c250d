package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/whipcheck"
)

// WHIPCommand is `stagedoor whip`.
type WHIPCommand struct {
	Check WHIPCheckCommand `cmd:"" help:"Check any WHIP endpoint for OBS: RFC 9725, what OBS demands, and a real publication."`
}

// WHIPCheckCommand is `stagedoor whip check`.
type WHIPCheckCommand struct {
	URL     string        `arg:"" help:"The WHIP endpoint, as it is set in OBS." placeholder:"URL"`
	Token   string        `help:"Bearer token. Others on this machine can read command lines: prefer the variable." placeholder:"TOKEN"`
	Publish time.Duration `help:"How long the main publication lasts." default:"5s"`
	CACert  string        `help:"File with a certificate (PEM) to trust, for an endpoint with its own authority. OBS has no such setting." placeholder:"FILE" name:"ca-cert"`
	JSON    bool          `help:"Print the report as JSON, for scripts." name:"json"`
}

// errEndpoint is the error of an endpoint that failed a check, after the report was printed.
var errEndpoint = errors.New("the endpoint failed a required check")

// Run checks the endpoint. The exit code is 0 only if every required check passes.
func (cmd *WHIPCheckCommand) Run(ctx context.Context, p *process) error {
	if cmd.Publish < time.Second {
		return UsageError{fmt.Errorf("--publish must be 1s or more, not %v", cmd.Publish)}
	}
	options := whipcheck.Options{
		URL: cmd.URL, Token: stage.NewSecret(cmd.Token), Publish: cmd.Publish,
	}
	if err := cmd.trust(&options); err != nil {
		return err
	}
	if !cmd.JSON {
		options.Progress = func(c whipcheck.Check) { fmt.Fprintln(p.out, c.Line()) }
	}
	report, err := whipcheck.Run(ctx, options)
	if err != nil {
		return err
	}
	if err := cmd.print(p, report); err != nil {
		return err
	}
	if !report.OK {
		return errEndpoint
	}
	return nil
}

func (cmd *WHIPCheckCommand) trust(o *whipcheck.Options) error {
	if cmd.CACert == "" {
		return nil
	}
	pem, err := os.ReadFile(cmd.CACert)
	if err != nil {
		return fmt.Errorf("the certificate cannot be read: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate in PEM form", cmd.CACert)
	}
	o.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	return nil
}

func (cmd *WHIPCheckCommand) print(p *process, report whipcheck.Report) error {
	if !cmd.JSON {
		return report.Summary(p.out)
	}
	return printJSON(p.out, report)
}
