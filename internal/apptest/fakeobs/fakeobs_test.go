package fakeobs_test

import (
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
	"github.com/stagedoor/stagedoor/internal/obs"
	"github.com/stagedoor/stagedoor/internal/stage"
)

func connect(t *testing.T, o *fakeobs.OBS, password string) *obs.Client {
	t.Helper()
	c, err := obs.Connect(t.Context(), obs.Options{URL: o.URL(), Password: stage.NewSecret(password)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func do(t *testing.T, c *obs.Client, request string, data map[string]any) map[string]any {
	t.Helper()
	var answer map[string]any
	into := any(&answer)
	if len(request) > 3 && request[:3] != "Get" {
		into = nil
	}
	if err := c.Call(t.Context(), request, data, into); err != nil {
		t.Fatal(err)
	}
	return answer
}

func whip(settings map[string]any) map[string]any {
	return map[string]any{"streamServiceType": "whip_custom", "streamServiceSettings": settings}
}

// Section 0.1: on a clean profile OBS goes on sending AAC, labelled as Opus, until the profile is activated again.
func TestOpusTakesEffectOnlyAfterABounce(t *testing.T) {
	t.Parallel()
	far := fakeobs.NewFar()
	o := fakeobs.Start(t, fakeobs.Options{Password: "secret", Output: far.Output})
	c := connect(t, o, "secret")
	do(t, c, "SetStreamServiceSettings", whip(map[string]any{"server": "http://there/whip", "bearer_token": "abc"}))
	do(t, c, "SetProfileParameter", map[string]any{"parameterCategory": "SimpleOutput", "parameterName": "StreamAudioEncoder", "parameterValue": "opus"})
	do(t, c, "StartStream", nil)
	o.WaitStream(t, "STARTED")
	do(t, c, "StopStream", nil)
	o.WaitStream(t, "STOPPED")

	do(t, c, "CreateProfile", map[string]any{"profileName": "Other"})
	o.Wait(t, "the new profile", func(s fakeobs.State) bool { return s.Profile == "Other" })
	do(t, c, "SetCurrentProfile", map[string]any{"profileName": "Untitled"})
	do(t, c, "StartStream", nil)
	o.WaitStream(t, "STARTED")

	want := []fakeobs.Call{{Endpoint: "http://there/whip", Bearer: "abc", Opus: false}, {Endpoint: "http://there/whip", Bearer: "abc", Opus: true}}
	if got := far.Calls(); len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("OBS called %+v, want %+v", got, want)
	}
}

// Section 0.1: a clean close and a 401 from then on keep OBS knocking; settings are refused, StopStream ends it.
func TestReconnectTrap(t *testing.T) {
	t.Parallel()
	far := fakeobs.NewFar()
	o := fakeobs.Start(t, fakeobs.Options{Output: far.Output})
	c := connect(t, o, "")
	do(t, c, "SetStreamServiceSettings", whip(map[string]any{"server": "http://there/whip", "bearer_token": "old"}))
	do(t, c, "StartStream", nil)
	o.WaitStream(t, "STARTED")
	far.Answer(fakeobs.Refuse(401))
	far.Drop()
	o.Wait(t, "three knocks", func(s fakeobs.State) bool { return s.Attempts > 3 })
	if s := do(t, c, "GetStreamStatus", nil); s["outputActive"] != true || s["outputReconnecting"] != true || s["outputBytes"] != 0.0 {
		t.Errorf("while reconnecting: got %v", s)
	}
	err := c.Call(t.Context(), "SetStreamServiceSettings", whip(map[string]any{"bearer_token": "new"}), nil)
	if !obs.IsStatus(err, 500) {
		t.Errorf("settings while reconnecting: got %v, want 500", err)
	}
	do(t, c, "StopStream", nil)
	o.WaitStream(t, "STOPPED")
	far.Answer(fakeobs.Accept())
	do(t, c, "SetStreamServiceSettings", whip(map[string]any{"bearer_token": "new"}))
	do(t, c, "StartStream", nil)
	o.WaitStream(t, "STARTED")
	if calls := far.Calls(); calls[len(calls)-1].Bearer != "new" || calls[len(calls)-1].Endpoint != "http://there/whip" {
		t.Errorf("after renewal OBS called %+v", calls[len(calls)-1])
	}
}

func TestQuitRestartAndKick(t *testing.T) {
	t.Parallel()
	o := fakeobs.Start(t, fakeobs.Options{})
	c := connect(t, o, "")
	exit := c.Watch("ExitStarted")
	o.Quit()
	if err := exit.Next(t.Context(), nil); err != nil {
		t.Errorf("ExitStarted: got %v", err)
	}
	<-c.Done()
	if _, err := obs.Connect(t.Context(), obs.Options{URL: o.URL()}); err == nil {
		t.Error("connected to an OBS that has quit")
	}
	if err := o.Restart(); err != nil {
		t.Fatal(err)
	}
	again := connect(t, o, "")
	o.Kick()
	<-again.Done()
	if got := o.State().Sessions; got != 0 {
		t.Errorf("after the kick: got %d sessions, want 0", got)
	}
}
