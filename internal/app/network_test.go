package app_test

import (
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
)

// TestClosedNetworks: in a network that blocks UDP, clients publish and view by ICE-TCP. In a
// network that permits only a TURN server, they use the TURN server in the Link headers.
func TestClosedNetworks(t *testing.T) {
	t.Parallel()
	const secret = "a secret of the TURN server"
	turn := rtcpeer.StartTURN(t, secret)
	a := apptest.Start(t, "--media-tcp", "127.0.0.1:0", "--turn", "stun:127.0.0.1:9,"+turn.URL,
		"--turn-secret", secret)
	ana := a.Broadcaster(a.Operator(), "ana", "publish", "subscribe")
	token := ana.Token("publish")
	view := func(o rtcpeer.ViewOptions) *rtcpeer.Viewer {
		t.Helper()
		v, err := rtcpeer.View(t,
			rtcpeer.HTTP(a.URL+"/whep/"+string(token.ParticipantID), ana.Token("view").Token), o)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.WaitFrames(limit(t), 15); err != nil {
			t.Error(err)
		}
		return v
	}

	t.Log("participants who can only use TCP")
	p, err := rtcpeer.Publish(t, rtcpeer.HTTP(token.Endpoint, token.Token),
		rtcpeer.PublishOptions{TCP: true})
	if err != nil {
		t.Fatal(err)
	}
	view(rtcpeer.ViewOptions{TCP: true})

	t.Log("participants who can only use the TURN server that the answer names")
	servers := p.Answer.ICEServers()
	if len(servers) != 2 || servers[0] != (rtcpeer.ICEServer{URL: "stun:127.0.0.1:9"}) ||
		servers[1].URL != turn.URL ||
		servers[1].Username == "" || servers[1].Credential == "" {
		t.Fatalf("got %+v, want a STUN server without and a TURN server with credentials", servers)
	}
	if _, err := rtcpeer.Publish(t, rtcpeer.HTTP(token.Endpoint, token.Token),
		rtcpeer.PublishOptions{Relays: servers[1:]}); err != nil {
		t.Fatal(err)
	}
	v := view(rtcpeer.ViewOptions{Relays: servers[1:]})
	if len(v.Answer.ICEServers()) != 2 {
		t.Errorf("a viewer was given %v, want the servers, too", v.Answer.ICEServers())
	}
	if turn.Allocations() < 2 {
		t.Errorf("the TURN server was used %d times, want once by each", turn.Allocations())
	}
}
