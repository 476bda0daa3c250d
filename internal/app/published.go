package app

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// A published is the content of the file in the data folder by which commands find the server.
type published struct {
	URL       string    `json:"url"`    // the public URL
	Listen    string    `json:"listen"` // address for HTTP
	TLS       bool      `json:"tls"`    // whether Listen serves HTTPS
	Media     string    `json:"media"`  // UDP address
	Version   string    `json:"version"`
	Process   int       `json:"process"`
	StartedAt time.Time `json:"startedAt"`
}

func publishedFile(data string) string { return filepath.Join(data, "server.json") }

// publish writes the file by which commands find the server. The file is kept when the server
// stops, so that commands can still print links.
func (s *server) publish() error {
	return writePublished(s.settings.Data, published{
		URL: s.public.String(), Listen: s.listen.Addr().String(), TLS: s.certs != nil,
		Media: s.local.media.Addr().String(), Version: version(), Process: os.Getpid(),
		StartedAt: time.Now(),
	})
}

// writePublished replaces the file atomically, so that no command reads an incomplete file.
func writePublished(data string, p published) error {
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	part := publishedFile(data) + ".part"
	if err := os.WriteFile(part, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("the data folder %s cannot be written: %w", data, reason(err))
	}
	return os.Rename(part, publishedFile(data))
}

// local returns the URL at which programs on this machine reach the server.
func (p published) local() (*url.URL, error) {
	address, err := net.ResolveTCPAddr("tcp", p.Listen)
	if err != nil {
		return nil, err
	}
	return ownURL(address, p.TLS), nil
}

func readPublished(data string) (published, error) {
	text, err := os.ReadFile(publishedFile(data))
	if err != nil {
		return published{}, fmt.Errorf("%s cannot be read: %w", publishedFile(data), err)
	}
	var p published
	if err := json.Unmarshal(text, &p); err != nil {
		return published{}, fmt.Errorf(
			"%s is damaged: %w; the next start of the server writes it anew",
			publishedFile(data), err)
	}
	return p, nil
}
