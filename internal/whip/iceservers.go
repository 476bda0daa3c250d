package whip

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// ICEServers are the STUN and TURN servers in the response to a client's offer. Browsers and OBS
// (30.2 and later) use them.
type ICEServers struct {
	URLs []string // in the form that ParseICEServer accepts

	// The TURN servers need one of these two:

	// Secret is shared with the TURN servers. Each session gets its own user name and password,
	// which expire ("TURN REST API", coturn's use-auth-secret).
	Secret stage.Secret

	// User and Password are the same for all sessions (RFC 8489, 9.2).
	User     string
	Password stage.Secret

	Life time.Duration // life of the user names made with Secret; stage.MaxSession if zero
}

// ParseICEServer validates the URI of a STUN or TURN server (RFC 7064, RFC 7065), such as
// turn:turn.example.net:3478?transport=udp.
func ParseICEServer(text string) error {
	scheme, rest, _ := strings.Cut(text, ":")
	host, query, _ := strings.Cut(rest, "?")
	turn := scheme == "turn" || scheme == "turns"
	known := turn || scheme == "stun" || scheme == "stuns"
	if name, port, err := net.SplitHostPort(host); err == nil {
		number, err := strconv.ParseUint(port, 10, 16)
		known = known && err == nil && number > 0
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	transport := query == "" || turn && (query == "transport=udp" || query == "transport=tcp")
	odd := strings.ContainsAny(host, "/<>\"@,; ") || strings.ContainsFunc(host, func(r rune) bool {
		return r <= ' ' || r > '~'
	})
	if !known || host == "" || odd || !transport {
		return stage.Errorf(stage.ErrInvalid, "%q is not a STUN or TURN server; it is such as "+
			"turn:turn.example.net:3478?transport=udp or stun:stun.example.net.", text)
	}
	return nil
}

// For returns the servers with the credentials of a participant.
func (s *ICEServers) For(p stage.Participant, now time.Time) (servers []ICEServer) {
	user, password := s.credentials(p, now)
	for _, address := range s.URLs {
		server := ICEServer{URL: address}
		if strings.HasPrefix(address, "turn") {
			server.Username, server.Credential = user, password
		}
		servers = append(servers, server)
	}
	return servers
}

// credentials returns a user name and a password for the TURN servers. With a Secret, the user name
// consists of its expiry and the participant ID, so that the log of the TURN server names the
// participant.
func (s *ICEServers) credentials(
	p stage.Participant, now time.Time,
) (user string, password stage.Secret) {
	if s.Secret.Reveal() == "" {
		return s.User, s.Password
	}
	expires := now.Add(cmp.Or(s.Life, stage.MaxSession)).Unix()
	user = fmt.Sprintf("%d:%s", expires, url.QueryEscape(string(p.ID)))
	mac := hmac.New(sha1.New, []byte(s.Secret.Reveal())) // TURN servers require SHA-1
	mac.Write([]byte(user))
	return user, stage.NewSecret(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}
