package app

//go:generate go test -run TestOperateDocs -update .

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/whip"
)

// The fields of the structs below are the settings. Each field is a flag, an environment variable
// STAGEDOOR_… and a row of `--help` and of docs/operate.md. A test writes the rows in that file.

// DataSettings say where Stagedoor stores its data.
type DataSettings struct {
	Data     string `help:"Folder for the database and the keys; made with mode 0700." placeholder:"DIR" default:"${data}"`
	Database string `help:"PostgreSQL to use instead of the SQLite file in the data folder." placeholder:"postgres://…" secret:"password"`
}

// LogSettings set the level and the format of the log.
type LogSettings struct {
	LogLevel  string `help:"The lowest level that is logged: ${enum}." enum:"debug,info,warn,error" default:"info"`
	LogFormat string `help:"Format of the log: ${enum}." enum:"text,json" default:"text"`
}

// ServeSettings are the settings of `stagedoor serve`.
type ServeSettings struct {
	DataSettings
	LocalKeySettings
	LogSettings

	DatabaseDirect string `help:"URL of the same PostgreSQL that bypasses a connection pooler, for notifications; by default that of --database." placeholder:"postgres://…" secret:"password"`

	NewLocalKey bool `help:"Replace the local key by the one in its file, or by a new one if there is no file. The open tokens of local stages end."`

	Listen         string         `help:"Address for HTTP, or HTTPS." placeholder:"HOST:PORT" default:"127.0.0.1:8080"`
	PublicURL      string         `help:"URL under which browsers and OBS reach this server; by default derived from the listen address. It is part of every token of a local stage." placeholder:"URL"`
	TrustedProxies []netip.Prefix `help:"Networks whose X-Forwarded-For is believed. By default none is." placeholder:"CIDR,…"`
	AllowOrigins   []string       `help:"Web origins whose pages may call the WHIP, WHEP and events endpoints of local stages from a browser." placeholder:"ORIGIN,…"`

	TLSSettings

	Media         string        `help:"UDP address for all media of the local stages." placeholder:"HOST:PORT" default:"127.0.0.1:8189"`
	MediaTCP      string        `help:"TCP address for media, for browsers whose network blocks UDP; OBS does not support it. By default there is none." placeholder:"HOST:PORT" name:"media-tcp"`
	MediaHosts    []string      `help:"Addresses or host names announced for media, for a machine behind NAT." placeholder:"HOST,…"`
	TURN          []string      `help:"STUN and TURN servers that WHIP and WHEP clients are given." placeholder:"turn:HOST:PORT,…" name:"turn"`
	TURNSecret    string        `help:"Secret shared with the TURN servers, for names and passwords that expire (coturn: use-auth-secret)." name:"turn-secret" secret:"all"`
	TURNUser      string        `help:"User of the TURN servers, if they have no shared secret." name:"turn-user"`
	TURNPassword  string        `help:"Password of that user." name:"turn-password" secret:"all"`
	CutAtExpiry   bool          `help:"End a broadcast when its token expires. By default, as on IVS, a token is checked only when a session begins."`
	MaxPublishers int           `help:"Publishers on one local stage." default:"12"`
	EnforceLimits bool          `help:"End a broadcast that goes beyond the limits of its local stage, as IVS does. By default there is only a warning."`
	LostAfter     time.Duration `help:"Silence after which a WHIP or WHEP session counts as lost; at least 5s." default:"30s"`

	PeerSettings

	IVSSDK          string `help:"URL from which pages load Amazon's web SDK, for AWS stages; with its version." placeholder:"URL" default:"https://web-broadcast.live-video.net/1.41.0/amazon-ivs-web-broadcast.js" name:"ivs-sdk"`
	IVSSDKIntegrity string `help:"Hash that the SDK must have, such as sha384-…; browsers refuse another file. By default it is not checked." placeholder:"HASH" name:"ivs-sdk-integrity"`

	AWSSettings
	IVSEventsSecret string `help:"Secret with which EventBridge posts events to /api/aws/events, of 16 characters or more; without one, no event is accepted." name:"ivs-events-secret" secret:"all"`

	SignInSettings

	BrandSettings

	WebhookNetworks []netip.Prefix `help:"Private networks that webhooks may be sent to; by default none." placeholder:"CIDR,…"`
	AuditRetention  time.Duration  `help:"How long the audit trail is kept, including the records of tokens." default:"8760h"`
	MetricsListen   string         `help:"Address for metrics of Prometheus (/metrics), apart from the public one; by default there are none." placeholder:"HOST:PORT"`
	Profiling       bool           `help:"Serve Go's profiles (/debug/pprof) beside the metrics."`

	TokenLimit  int           `help:"Tokens that a broadcaster may get within the token window; -1 for no limit." default:"30"`
	TokenWindow time.Duration `help:"The time in which --token-limit tokens are allowed." default:"10m"`
}

const (
	leastLostAfter   = 5 * time.Second // a shorter time would end sessions over a lossy network
	leastTokenWindow = time.Second
	leastAudit       = time.Hour // a negative time would delete even new entries
	// leastSecret is the least length in characters of a secret that strangers on the Internet can
	// try to guess.
	leastSecret = 16
)

// checkNumbers refuses limits and durations that are too small, and an events secret that is too
// short.
func (s *ServeSettings) checkNumbers() error {
	switch {
	case s.MaxPublishers < 1:
		return fmt.Errorf("--max-publishers must be 1 or more, not %d", s.MaxPublishers)
	case s.LostAfter < leastLostAfter:
		return fmt.Errorf("--lost-after must be %v or more, not %v", leastLostAfter, s.LostAfter)
	case s.TokenLimit < -1 || s.TokenLimit == 0:
		return fmt.Errorf("--token-limit must be 1 or more, or -1 for no limit, not %d",
			s.TokenLimit)
	case s.IVSEventsSecret != "" && len(s.IVSEventsSecret) < leastSecret:
		return fmt.Errorf("--ivs-events-secret must have at least %d characters; "+
			"`openssl rand -hex 16` makes one", leastSecret)
	case s.TokenWindow < leastTokenWindow:
		return fmt.Errorf("--token-window must be %v or more, not %v",
			leastTokenWindow, s.TokenWindow)
	case s.AuditRetention < leastAudit:
		return fmt.Errorf("--audit-retention must be %v or more, not %v",
			leastAudit, s.AuditRetention)
	}
	return nil
}

// checkAddresses refuses invalid and empty addresses. An empty address would mean every address of
// the machine.
func (s *ServeSettings) checkAddresses() error {
	for _, a := range []struct{ flag, address string }{{"--listen", s.Listen},
		{"--media", s.Media}} {
		if err := checkAddress(a.flag, a.address); err != nil {
			return err
		}
	}
	if s.MediaTCP != "" {
		if err := checkAddress("--media-tcp", s.MediaTCP); err != nil {
			return err
		}
	}
	return s.checkTURN()
}

// checkTURN refuses TURN servers without credentials, since such servers would refuse every client.
func (s *ServeSettings) checkTURN() error {
	turn := false
	for _, server := range s.TURN {
		if err := whip.ParseICEServer(server); err != nil {
			return fmt.Errorf("--turn: %w", err)
		}
		turn = turn || strings.HasPrefix(server, "turn")
	}
	static := s.TURNUser != "" && s.TURNPassword != ""
	switch {
	case turn && s.TURNSecret == "" && !static:
		return errors.New(
			"--turn names a TURN server: add --turn-secret, or --turn-user and --turn-password")
	case s.TURNSecret != "" && (s.TURNUser != "" || s.TURNPassword != ""):
		return errors.New(
			"--turn-secret makes users and passwords: leave out --turn-user and --turn-password")
	}
	return nil
}

// dataFolder returns the user's data directory of the platform (XDG Base Directory on Unix).
func dataFolder(env map[string]string) string {
	home := env["HOME"]
	switch {
	case runtime.GOOS == "windows":
		return filepath.Join(env["LOCALAPPDATA"], "Stagedoor")
	case runtime.GOOS == "darwin":
		return filepath.Join(home, "Library", "Application Support", "Stagedoor")
	case filepath.IsAbs(env["XDG_DATA_HOME"]):
		return filepath.Join(env["XDG_DATA_HOME"], "stagedoor")
	case home == "":
		return "stagedoor-data" // below the working directory, for a service without HOME
	default:
		return filepath.Join(home, ".local", "share", "stagedoor")
	}
}
