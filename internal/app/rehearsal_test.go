package app_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/quick"
	"github.com/stagedoor/stagedoor/internal/apptest/replicas"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/web"
)

// TestARehearsalIsSeenByItsOwnerAlone: ana publishes to her private stage, watches it and reads its
// measurements. Ben and the operator can neither watch it nor read its measurements, and a guest
// cannot watch it.
func TestARehearsalIsSeenByItsOwnerAlone(t *testing.T) {
	t.Parallel()
	quick.LeavesOut(t, "real media")
	a := apptest.Start(t)
	olga := a.Operator()
	ana := a.Broadcaster(olga, "ana", "publish", "subscribe")
	ben := a.Broadcaster(olga, "ben", "publish", "subscribe")
	dock := ana.Events()
	var made web.Rehearsal
	ana.Must(http.StatusCreated, "POST", "/api/rehearsals", nil, &made)
	publisher, err := rtcpeer.Publish(t, rtcpeer.HTTP(made.Publish.Endpoint, made.Publish.Token),
		rtcpeer.PublishOptions{Clip: rtcpeer.MakeClip(t, rtcpeer.ClipOptions{Keyint: 150})})
	if err != nil {
		t.Fatal(err)
	}
	apptest.Await(dock, "stage", of(made.Publish, "publishing"))

	t.Log("ana can view her rehearsal")
	door := a.URL + "/whep/" + string(made.Publish.ParticipantID)
	viewer, err := rtcpeer.View(t, rtcpeer.HTTP(door, made.View.Token), rtcpeer.ViewOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := viewer.WaitFrames(limit(t), 10); err != nil {
		t.Error(err)
	}

	t.Log("nobody else can view it with a token for another stage or of a guest link")
	for _, who := range []*apptest.Client{ben, olga} {
		wantStatus(t, door, who.Token("view").Token, http.StatusNotFound, 2004)
		status, _, _ := who.Do("GET", "/api/tokens/"+string(made.Publish.ParticipantID), nil)
		if status != http.StatusNotFound {
			t.Errorf("what a stranger is told of a rehearsal: got %d, want 404", status)
		}
	}
	var link web.CreatedGuestLink
	olga.Must(http.StatusCreated, "POST", "/api/guest-links",
		map[string]any{"stage": olga.MainStage(), "role": "publish"}, &link)
	guest := a.Browser()
	_, guest.Key, _ = strings.Cut(link.URL, "#")
	var admitted web.Token
	guest.Must(http.StatusCreated, "POST", "/api/guest", web.GuestName{Name: "gil"}, &admitted)
	wantStatus(t, door, admitted.Token, http.StatusNotFound, 2004)

	t.Log("the operator's list of stages does not have the private stage")
	var stages struct{ Stages []web.Stage }
	olga.Must(http.StatusOK, "GET", "/api/stages", nil, &stages)
	for _, s := range stages.Stages {
		if s.ARN.Rehearsal() || len(s.Participants) > 0 {
			t.Errorf("the operator's list has the private stage %+v", s)
		}
	}

	t.Log("the stage measures what ana sends")
	measured := func() *web.TokenState {
		var state web.TokenState
		ana.Must(http.StatusOK, "GET", "/api/tokens/"+string(made.Publish.ParticipantID), nil, &state)
		if p := state.Presence; p == nil || p.Reception == nil || p.Reception.Video == nil ||
			p.Reception.Video.KeyframeInterval == 0 {
			return nil
		}
		return &state
	}
	ctx := limit(t)
	state := measured()
	for ; state == nil && ctx.Err() == nil; state = measured() {
		time.Sleep(100 * time.Millisecond)
	}
	if state == nil || state.Presence.Reception.Video.KeyframeInterval < 4 {
		t.Fatalf("what the stage measures: got %+v", state)
	}

	t.Log("when ana signs out, the rehearsal ends, and its token is refused")
	ana.Must(http.StatusNoContent, "DELETE", "/api/login", nil, nil)
	select {
	case <-publisher.Closed():
	case <-limit(t).Done():
		t.Error("the rehearsal outlives the login")
	}
	wantStatus(t, made.Publish.Endpoint, made.Publish.Token, http.StatusForbidden, 2003)
}

// TestARehearsalOverAFleet: one server issues the tokens, OBS publishes at a second server, and the
// dock watches at a third server. Each server returns the measurements.
func TestARehearsalOverAFleet(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 3)
	olga := f.operator()
	var made web.Rehearsal
	olga.at(f.Servers[0]).must(http.StatusCreated, "POST", "/api/rehearsals", nil, &made)
	at := func(m *replicas.Member, path string) string { return "http://" + m.Listen + path }
	// A server that has just started may not know the other servers yet.
	eventually(t, 30*time.Second, "OBS publishes", func() bool {
		_, err := rtcpeer.Publish(t, rtcpeer.HTTP(at(f.Servers[1], "/whip"), made.Publish.Token),
			rtcpeer.PublishOptions{})
		return err == nil
	})
	door := at(f.Servers[2], "/whep/"+string(made.Publish.ParticipantID))
	var viewer *rtcpeer.Viewer
	eventually(t, 30*time.Second, "the dock watches", func() bool {
		var err error
		viewer, err = rtcpeer.View(t, rtcpeer.HTTP(door, made.View.Token), rtcpeer.ViewOptions{})
		return err == nil
	})
	if err := viewer.WaitFrames(limit(t), 5); err != nil {
		t.Error(err)
	}
	for _, m := range f.Servers {
		eventually(t, 30*time.Second, "what is measured is known at "+m.Listen, func() bool {
			var state web.TokenState
			olga.at(m).must(http.StatusOK, "GET",
				"/api/tokens/"+string(made.Publish.ParticipantID), nil, &state)
			p := state.Presence
			return p != nil && p.Reception != nil && p.Reception.Video != nil
		})
	}
}
