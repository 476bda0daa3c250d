package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"time"
)

// HealthCommand is `stagedoor health`, for containers and supervisors that have no HTTP client.
type HealthCommand struct {
	DataSettings
}

// Run checks whether the server that was started from the data folder answers.
func (cmd *HealthCommand) Run(ctx context.Context, p *process) error {
	running, err := readPublished(cmd.Data)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no server was started from %s", cmd.Data)
	}
	if err != nil {
		return err
	}
	u, err := running.local()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.JoinPath("healthz").String(), nil)
	if err != nil {
		return err
	}
	answer, err := running.client().Do(r)
	if err != nil {
		return fmt.Errorf("the server at %s does not answer: %w", running.Listen, reason(err))
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the server at %s answers %s", running.Listen, answer.Status)
	}
	fmt.Fprintf(p.out, "the server at %s serves\n", running.Listen)
	return nil
}

// client returns an HTTP client for the server on this machine. The client does not verify the
// server's certificate: the certificate is issued for the public host name, and the connection does
// not leave this machine.
func (p published) client() *http.Client {
	insecure := &tls.Config{InsecureSkipVerify: true}
	if u, err := url.Parse(p.URL); err == nil && net.ParseIP(u.Hostname()) == nil {
		insecure.ServerName = u.Hostname() // the server chooses its certificate by this name
	}
	return &http.Client{
		Transport: &http.Transport{TLSClientConfig: insecure},
		CheckRedirect: func(*http.Request,
			[]*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}
