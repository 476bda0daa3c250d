package rtcpeer

import (
	"net"
	"sync/atomic"
	"testing"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"
)

// A TURN is a TURN server on loopback. It accepts names and passwords that were made with a shared
// secret.
type TURN struct {
	URL string

	allocations atomic.Int64
}

// StartTURN starts the server until the test ends.
func StartTURN(t testing.TB, secret string) *TURN {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &TURN{URL: "turn:" + conn.LocalAddr().String() + "?transport=udp"}
	logs := logging.NewDefaultLoggerFactory()
	logs.DefaultLogLevel = logging.LogLevelDisabled
	server, err := turn.NewServer(turn.ServerConfig{
		Realm:         "stage",
		LoggerFactory: logs,
		AuthHandler:   turn.LongTermTURNRESTAuthHandler(secret, logs.NewLogger("turn")),
		EventHandler: turn.EventHandler{OnAllocationCreated: func(_, _ net.Addr, _, _, _ string,
			_ net.Addr, _ int) {
			s.allocations.Add(1)
		}},
		PacketConnConfigs: []turn.PacketConnConfig{{
			PacketConn: conn,
			RelayAddressGenerator: &turn.RelayAddressGeneratorStatic{
				RelayAddress: net.IPv4(127, 0, 0, 1), Address: "127.0.0.1",
			},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return s
}

// Allocations returns the number of relays that clients were given.
func (s *TURN) Allocations() int { return int(s.allocations.Load()) }
