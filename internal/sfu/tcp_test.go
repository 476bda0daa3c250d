package sfu_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/quick"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/sfu"
	"github.com/stagedoor/stagedoor/internal/stage"
)

func overTCP(c *sfu.Config) { c.ListenTCP = "127.0.0.1:0" }

// Peers without UDP publish and view beside peers with UDP.
func TestMediaOverTCP(t *testing.T) {
	t.Parallel()
	h := newHarness(t, overTCP)
	p := h.publish("ana", rtcpeer.PublishOptions{TCP: true})
	h.publish("bob", rtcpeer.PublishOptions{Passive: true})
	ctx := patient(t)
	for id, from := range map[stage.ParticipantID]struct {
		target stage.ParticipantID
		tcp    bool
	}{"tcp-of-tcp": {"ana", true}, "udp-of-tcp": {"ana", false}, "tcp-of-udp": {"bob", true}} {
		v := h.view(id, from.target, rtcpeer.ViewOptions{
			TCP: from.tcp, Passive: from.tcp && from.target == "bob",
		})
		if err := v.WaitFrames(ctx, 30); err != nil {
			t.Errorf("%s: frames: %v", id, err)
		}
		if err := v.WaitAudio(ctx, 30); err != nil {
			t.Errorf("%s: sound: %v", id, err)
		}
	}
	if !strings.Contains(p.Answer.SDP, "tcptype passive") {
		t.Errorf("no TCP candidate in\n%s", p.Answer.SDP)
	}
	// The peer ends the session before it closes its TCP connection. If data is unread, closing
	// resets the connection, which may drop sent data (RFC 1122, 4.2.2.13). In that case, the
	// session ends only after a time of silence.
	p.Close()
	if e := h.waitEvent("ana", stage.EventEnded, ""); e.Code != "closed_by_peer" &&
		e.Code != "lost" {
		t.Errorf("the session ended as %q, want closed_by_peer or lost", e.Code)
	}
}

// TestTheEndOfASessionArrivesOverTCP: a peer over TCP also receives the end of its session.
func TestTheEndOfASessionArrivesOverTCP(t *testing.T) {
	t.Parallel()
	h := newHarness(t, overTCP)
	p := h.publish("ana", rtcpeer.PublishOptions{TCP: true})
	h.waitEvent("ana", stage.EventConnected, "")
	if err := h.Disconnect(t.Context(), h.arn, "ana", ""); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Closed():
	case <-time.After(60 * time.Second):
		t.Fatal("the connection stayed open")
	}
}

// TestStrangersOverTCP: a connection is closed if it proves no password or sends no valid
// datagrams.
func TestStrangersOverTCP(t *testing.T) {
	t.Parallel()
	quick.LeavesOut(t, "waits for limits")
	h := newHarness(t, overTCP)
	h.publish("ana", rtcpeer.PublishOptions{TCP: true})
	for name, sent := range map[string][]byte{
		"no datagram": binary.BigEndian.AppendUint16(nil, 60_000),
		"HTTP":        []byte("GET / HTTP/1.1\r\n\r\n"),
		"silence":     nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", h.TCPAddr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if len(sent) > 0 {
				if _, err := conn.Write(sent); err != nil {
					t.Fatal(err)
				}
			}
			conn.SetReadDeadline(time.Now().Add(60 * time.Second))
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !isReset(err) {
				t.Errorf("got %v, want a closed connection", err)
			}
		})
	}
}

func isReset(err error) bool {
	return err != nil && strings.Contains(err.Error(), "connection reset")
}

func TestTakenTCPPort(t *testing.T) {
	t.Parallel()
	h := newHarness(t, overTCP)
	_, err := sfu.New(sfu.Config{Listen: "127.0.0.1:0", ListenTCP: h.TCPAddr().String()})
	if got := code(err); got != "port_taken" || !strings.Contains(err.Error(), "TCP") {
		t.Errorf("got %v, want port_taken that names TCP", err)
	}
}

// TestChromiumOverTCP: a real browser without UDP publishes and views.
func TestChromiumOverTCP(t *testing.T) {
	t.Parallel()
	h := newHarness(t, overTCP)
	page := h.openPage()
	page.Eval("publish('ana', {tcp: true})", nil)
	h.waitEvent("ana", stage.EventPublishing, "")
	page.Eval("view('ben', 'ana', {tcp: true})", nil)
	s := page.waitStats("ben", func(s browserStats) bool {
		return s.Inbound.FramesDecoded > 30 && s.Sound.PacketsReceived > 50
	})
	if s.Protocol != "tcp" || page.stats("ana").Protocol != "tcp" {
		t.Errorf("the connection is by %q and %q, want tcp", s.Protocol, page.stats("ana").Protocol)
	}
}
