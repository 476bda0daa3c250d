package sfu

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v4"

	"github.com/stagedoor/stagedoor/internal/stage"
)

var (
	home      = path{addr: netip.MustParseAddrPort("127.0.0.1:4001")}
	away      = path{addr: netip.MustParseAddrPort("127.0.0.1:4002")}
	elsewhere = path{addr: netip.MustParseAddrPort("127.0.0.1:4003")}
)

// newChecked returns a peer of a new session that has sent a connectivity check from a path.
func newChecked(t *testing.T, s *SFU, from path) *peer {
	t.Helper()
	p := newPeer(s, stage.Participant{}, &offer{ufrag: "theirs"})
	p.role = &bystander{}
	s.byUfrag[p.ufrag] = p
	p.check(t, from, p.since)
	p.keys.Store(&keys{})
	return p
}

// check sends a connectivity check from a path. The check nominates the path.
func (p *peer) check(t *testing.T, from path, now time.Time) {
	t.Helper()
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest,
		stun.NewUsername(p.ufrag+":theirs"),
		stun.RawAttribute{Type: stun.AttrUseCandidate}, p.password, stun.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	p.sfu.onSTUN(m.Raw, from, now)
}

func newStill(t *testing.T) *SFU {
	t.Helper()
	s, err := New(Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestMediaFollowsWhatIsProved: a check that an attacker repeats from another address does not
// redirect the media. When a client changes its address, the media follows.
func TestMediaFollowsWhatIsProved(t *testing.T) {
	t.Parallel()
	p := newChecked(t, newStill(t), home)
	now := p.since.Add(time.Second)
	p.check(t, elsewhere, now)
	if got := p.address().path; got != home {
		t.Errorf("after a check alone: media goes to %v, want %v", got, home)
	}
	p.proved(home, now)
	p.check(t, away, now)
	p.proved(away, now)
	if got := p.address().path; got != away {
		t.Errorf("after media from there: media goes to %v, want %v", got, away)
	}
	p.check(t, home, now.Add(4*time.Second))
	if got := p.address().path; got != away {
		t.Errorf("4s later: media goes to %v, want %v", got, away)
	}
	p.check(t, home, now.Add(6*time.Second))
	if got := p.address().path; got != home {
		t.Errorf("when nothing comes from there any more: media goes to %v, want %v", got, home)
	}
}

// TestAnAddressIsNotTakenAway: packets from the address of a connected peer go to that peer, even
// if another session claims the address. After that peer has gone silent, another session can take
// the address.
func TestAnAddressIsNotTakenAway(t *testing.T) {
	t.Parallel()
	s := newStill(t)
	ana := newChecked(t, s, home)
	eve := newChecked(t, s, elsewhere)
	eve.check(t, home, ana.since.Add(time.Second))
	if s.byPath[home] != ana {
		t.Error("an address was taken from a peer who is there")
	}
	eve.check(t, home, ana.since.Add(6*time.Second))
	if s.byPath[home] != eve {
		t.Error("the address of a peer who is gone for 6s is still that peer's")
	}
}
