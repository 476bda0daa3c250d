package fakeobs_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
	"github.com/stagedoor/stagedoor/internal/obs"
	"github.com/stagedoor/stagedoor/internal/stage"
)

func connect(t *testing.T, o *fakeobs.OBS, password string) *obs.Client {
	t.Helper()
	c, err := obs.Connect(t.Context(), obs.Options{
		URL: o.URL(), Password: stage.NewSecret(password), Quiet: time.Nanosecond,
	})
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

// TestOpusTakesEffectOnlyAfterABounce: on a clean profile OBS goes on sending AAC, labelled as
// Opus, until the profile is activated again.
func TestOpusTakesEffectOnlyAfterABounce(t *testing.T) {
	t.Parallel()
	far := fakeobs.NewFar()
	o := fakeobs.Start(t, fakeobs.Options{Password: "secret", Output: far.Output})
	c := connect(t, o, "secret")
	do(t, c, "SetStreamServiceSettings", whip(map[string]any{
		"server": "http://there/whip", "bearer_token": "abc",
	}))
	do(t, c, "SetProfileParameter", map[string]any{
		"parameterCategory": "SimpleOutput", "parameterName": "StreamAudioEncoder",
		"parameterValue": "opus",
	})
	do(t, c, "StartStream", nil)
	o.WaitStream(t, "STARTED")
	do(t, c, "StopStream", nil)
	o.WaitStream(t, "STOPPED")

	do(t, c, "CreateProfile", map[string]any{"profileName": "Other"})
	o.Wait(t, "the new profile", func(s fakeobs.State) bool { return s.Profile == "Other" })
	do(t, c, "SetCurrentProfile", map[string]any{"profileName": "Untitled"})
	do(t, c, "StartStream", nil)
	o.WaitStream(t, "STARTED")

	want := []fakeobs.Call{
		{Endpoint: "http://there/whip", Bearer: "abc", Opus: false},
		{Endpoint: "http://there/whip", Bearer: "abc", Opus: true},
	}
	if got := far.Calls(); len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("OBS called %+v, want %+v", got, want)
	}
}

// TestReconnectTrap: after a clean close, OBS stays in its reconnect loop if every further POST
// gets 401. It refuses settings until StopStream ends the loop.
func TestReconnectTrap(t *testing.T) {
	t.Parallel()
	far := fakeobs.NewFar()
	o := fakeobs.Start(t, fakeobs.Options{Output: far.Output})
	c := connect(t, o, "")
	do(t, c, "SetStreamServiceSettings", whip(map[string]any{
		"server": "http://there/whip", "bearer_token": "old",
	}))
	do(t, c, "StartStream", nil)
	o.WaitStream(t, "STARTED")
	far.Answer(fakeobs.Refuse(401))
	far.Drop()
	o.Wait(t, "three attempts", func(s fakeobs.State) bool { return s.Attempts > 3 })
	if s := do(t, c, "GetStreamStatus", nil); s["outputActive"] != true ||
		s["outputReconnecting"] != true || s["outputBytes"] != 0.0 {
		t.Errorf("the status while reconnecting: got %v, want active without bytes", s)
	}
	err := c.Call(t.Context(), "SetStreamServiceSettings",
		whip(map[string]any{"bearer_token": "new"}), nil)
	if !obs.IsStatus(err, 500) {
		t.Errorf("settings while reconnecting: got %v, want 500", err)
	}
	do(t, c, "StopStream", nil)
	o.WaitStream(t, "STOPPED")
	far.Answer(fakeobs.Accept())
	do(t, c, "SetStreamServiceSettings", whip(map[string]any{"bearer_token": "new"}))
	do(t, c, "StartStream", nil)
	o.WaitStream(t, "STARTED")
	if calls := far.Calls(); calls[len(calls)-1].Bearer != "new" ||
		calls[len(calls)-1].Endpoint != "http://there/whip" {
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

// TestCreateProfileByVersion: up to obs-websocket 5.5.3, CreateProfile responds after it has
// created the profile. Since 5.5.4, it responds before.
func TestCreateProfileByVersion(t *testing.T) {
	t.Parallel()
	for version, async := range map[fakeobs.Version]bool{fakeobs.OBS29: false,
		fakeobs.OBS30_2: false, fakeobs.OBS31: true, fakeobs.OBS32_1: true} {
		w := identified(t, fakeobs.Start(t, fakeobs.Options{Version: version}), 2)
		w.request("CreateProfile", `{"profileName":"Stagedoor"}`)
		var kinds []string
		for len(kinds) < 4 {
			kinds = append(kinds, w.next())
		}
		want := []string{
			"CurrentProfileChanging", "ProfileListChanged", "CurrentProfileChanged", "answer 100",
		}
		if async {
			want = []string{
				"answer 100", "CurrentProfileChanging", "ProfileListChanged",
				"CurrentProfileChanged",
			}
		}
		if !slices.Equal(kinds, want) {
			t.Errorf("%v: got %v, want %v", version, kinds, want)
		}
	}
}

// TestServiceSettings: SetStreamServiceSettings merges the settings if the type stays the same,
// replaces them if it changes, and gives 700 without WHIP.
func TestServiceSettings(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]fakeobs.Options{"OBS 29": {Version: fakeobs.OBS29},
		"Ubuntu": {NoWHIP: true}} {
		c := connect(t, fakeobs.Start(t, opts), "")
		if err := c.Call(t.Context(), "SetStreamServiceSettings",
			whip(map[string]any{"server": "x"}), nil); !obs.IsStatus(err, 700) {
			t.Errorf("%s: got %v, want 700", name, err)
		}
		if got := do(t, c, "GetStreamServiceSettings",
			nil)["streamServiceType"]; got != "rtmp_common" {
			t.Errorf("%s: the service became %v", name, got)
		}
	}
	c := connect(t, fakeobs.Start(t, fakeobs.Options{}), "")
	do(t, c, "SetStreamServiceSettings", whip(map[string]any{"server": "x", "bearer_token": "a"}))
	do(t, c, "SetStreamServiceSettings", whip(map[string]any{"bearer_token": "b"}))
	got := do(t, c, "GetStreamServiceSettings", nil)["streamServiceSettings"].(map[string]any)
	if got["server"] != "x" || got["bearer_token"] != "b" {
		t.Errorf("settings of the same type: got %v, want them merged", got)
	}
	do(t, c, "SetStreamServiceSettings", map[string]any{
		"streamServiceType": "rtmp_custom", "streamServiceSettings": map[string]any{"key": "k"},
	})
	if got := do(t, c, "GetStreamServiceSettings",
		nil)["streamServiceSettings"].(map[string]any); len(got) != 1 {
		t.Errorf("settings of another type: got %v, want only the new ones", got)
	}
}

// TestLinkedAccounts: a linked account replaces the key of the service. With an account of YouTube,
// the stream does not start.
func TestLinkedAccounts(t *testing.T) {
	t.Parallel()
	far := fakeobs.NewFar()
	o := fakeobs.Start(t, fakeobs.Options{Account: "Twitch", Output: far.Output})
	c := connect(t, o, "")
	do(t, c, "SetStreamServiceSettings", whip(map[string]any{"server": "x", "bearer_token": "a"}))
	do(t, c, "StartStream", nil)
	o.WaitStream(t, "STARTED")
	if got := o.State().Service.Settings["key"]; got != "live_key_of_twitch" {
		t.Errorf("key: got %v, want live_key_of_twitch", got)
	}
	y := fakeobs.Start(t, fakeobs.Options{Account: "YouTube - RTMP", Output: far.Output})
	c = connect(t, y, "")
	do(t, c, "SetStreamServiceSettings", whip(map[string]any{"server": "x"}))
	do(t, c, "StartStream", nil)
	do(t, c, "GetStreamStatus", nil)
	if got := y.State(); got.Stream != "" || got.Attempts != 0 {
		t.Errorf("YouTube: got %+v, want nothing", got)
	}
}

// TestWhileConnecting: while OBS connects, StopStream gives 501, settings are accepted, and a
// second StartStream calls the endpoint again.
func TestWhileConnecting(t *testing.T) {
	t.Parallel()
	far := fakeobs.NewFar()
	far.Answer(fakeobs.Hang())
	o := fakeobs.Start(t, fakeobs.Options{Output: far.Output})
	c := connect(t, o, "")
	do(t, c, "SetStreamServiceSettings", whip(map[string]any{"server": "x", "bearer_token": "a"}))
	do(t, c, "StartStream", nil)
	o.WaitStream(t, "STARTING")
	if err := c.Call(t.Context(), "StopStream", nil, nil); !obs.IsStatus(err, 501) {
		t.Errorf("StopStream: got %v, want 501", err)
	}
	do(t, c, "SetStreamServiceSettings", whip(map[string]any{"bearer_token": "b"}))
	far.Answer(fakeobs.Accept())
	do(t, c, "StartStream", nil)
	o.WaitStream(t, "STARTED")
	if calls := far.Calls(); len(calls) != 2 || calls[1].Bearer != "b" {
		t.Errorf("got %+v, want two calls", calls)
	}
	do(t, c, "StopStream", nil)
	o.WaitStream(t, "STOPPED")
}

// TestFailuresAfterWhichOBSDoesNotReconnect: OBS does not reconnect after a failure of ICE, nor
// with Output/Reconnect=false. It gives up after the last retry.
func TestFailuresAfterWhichOBSDoesNotReconnect(t *testing.T) {
	t.Parallel()
	live := func(params map[string]string) (*fakeobs.OBS, *fakeobs.Far) {
		far := fakeobs.NewFar()
		o := fakeobs.Start(t, fakeobs.Options{
			Output: far.Output, Params: params, Service: fakeobs.Service{
				Type: "whip_custom", Settings: map[string]any{"server": "x"},
			},
		})
		o.StartByHand()
		o.WaitStream(t, "STARTED")
		return o, far
	}
	o, far := live(nil)
	far.Lose()
	o.WaitStream(t, "STOPPED")
	o, far = live(map[string]string{"Output/Reconnect": "false"})
	far.Drop()
	o.WaitStream(t, "STOPPED")
	o, far = live(map[string]string{"Output/MaxRetries": "2", "Output/RetryDelay": "0"})
	far.Answer(fakeobs.Refuse(401))
	far.Drop()
	if s := o.WaitStream(t, "STOPPED"); s.Attempts != 3 {
		t.Errorf("got %d calls, want 1 and 2 more", s.Attempts)
	}
}

// TestOpusTooHigh: with Opus above 256 kb/s, the stream does not start. OBS reports STARTING, and
// nothing after it.
func TestOpusTooHigh(t *testing.T) {
	t.Parallel()
	o := fakeobs.Start(t, fakeobs.Options{
		Output: fakeobs.Accept(), Params: map[string]string{
			"SimpleOutput/ABitrate": "320", "SimpleOutput/StreamAudioEncoder": "opus",
		},
		Service: fakeobs.Service{Type: "whip_custom", Settings: map[string]any{"server": "x"}},
	})
	c := connect(t, o, "")
	do(t, c, "StartStream", nil)
	do(t, c, "GetVersion", nil)
	if s := o.State(); s.Stream != "STARTING" || s.Attempts != 0 {
		t.Errorf("right after StartStream: got %+v, want STARTING without an attempt", s)
	}
}

// TestRemovingTheCurrentProfile: OBS 32.1 crashes when the current profile is removed.
func TestRemovingTheCurrentProfile(t *testing.T) {
	t.Parallel()
	o := fakeobs.Start(t, fakeobs.Options{Version: fakeobs.OBS32_1, MayCrash: true})
	c := connect(t, o, "")
	do(t, c, "CreateProfile", map[string]any{"profileName": "Other"})
	o.Wait(t, "the profile", func(s fakeobs.State) bool { return s.Profile == "Other" })
	_ = c.Call(t.Context(), "RemoveProfile", map[string]any{"profileName": "Other"}, nil)
	o.Wait(t, "the crash", func(s fakeobs.State) bool { return s.Crashed && !s.Running })
}

// TestAskedDuringASwitch: a request about the stream shortly after a switch of profiles crashes OBS
// 30.2 and later, and not OBS 29.
func TestAskedDuringASwitch(t *testing.T) {
	t.Parallel()
	for _, request := range []string{"GetStreamServiceSettings", "GetStreamStatus"} {
		for _, version := range []fakeobs.Version{fakeobs.OBS29, fakeobs.OBS30_2, fakeobs.OBS31,
			fakeobs.OBS32_1} {
			o := fakeobs.Start(t, fakeobs.Options{
				Version: version, MayCrash: true, Settle: 200 * time.Millisecond,
			})
			c := connect(t, o, "")
			do(t, c, request, nil)
			do(t, c, "CreateProfile", map[string]any{"profileName": "Other"})
			o.Wait(t, "the profile", func(s fakeobs.State) bool { return s.Profile == "Other" })
			do(t, c, "GetProfileParameter", map[string]any{
				"parameterCategory": "Output", "parameterName": "Mode",
			})
			do(t, c, "GetProfileList", nil)
			_ = c.Call(t.Context(), request, nil, nil)
			if version != fakeobs.OBS29 {
				o.Wait(t, "the crash", func(s fakeobs.State) bool {
					return s.Crashed &&
						!s.Running
				})
			} else if o.State().Crashed {
				t.Errorf("%v crashed of %s", version, request)
			}
		}
	}
}

// TestSubscriptionsAndBatches: sessions receive the events to which they subscribed, Reidentify
// changes the subscription, and a batch has one response.
func TestSubscriptionsAndBatches(t *testing.T) {
	t.Parallel()
	o := fakeobs.Start(t, fakeobs.Options{})
	w := identified(t, o, 0)
	w.request("BroadcastCustomEvent", `{"eventData":{"a":1}}`)
	if got := w.next(); got != "answer 100" {
		t.Errorf("without a subscription: got %q first, want 'answer 100'", got)
	}
	w.send(`{"op":3,"d":{"eventSubscriptions":1}}`)
	w.next()
	w.request("BroadcastCustomEvent", `{"eventData":{"a":1}}`)
	if got := []string{w.next(), w.next()}; !slices.Contains(got, "CustomEvent") {
		t.Errorf("with a subscription: got %v, want a CustomEvent", got)
	}
	w.send(`{"op":8,"d":{"requestId":"b","haltOnFailure":true,"requests":[{"requestType":"GetStats"},{"requestType":"Sleep","requestData":{"sleepMillis":1}},{"requestType":"Nope"},{"requestType":"GetStats"}]}}`)
	if got := w.next(); got != "batch of 3" {
		t.Errorf("a batch that halts: got %q, want batch of 3", got)
	}
}

// TestBrowserSources: a browser source is created, found again, updated and reloaded.
func TestBrowserSources(t *testing.T) {
	t.Parallel()
	o := fakeobs.Start(t, fakeobs.Options{})
	c := connect(t, o, "")
	scene := do(t, c, "GetCurrentProgramScene", nil)["sceneName"]
	source := map[string]any{
		"sceneName": scene, "inputName": "Ben", "inputKind": "browser_source",
		"inputSettings": map[string]any{"url": "https://there/1", "width": 640},
	}
	do(t, c, "CreateInput", source)
	if err := c.Call(t.Context(), "CreateInput", source, nil); !obs.IsStatus(err, 601) {
		t.Errorf("twice: got %v, want 601", err)
	}
	do(t, c, "SetInputSettings", map[string]any{
		"inputName": "Ben", "inputSettings": map[string]any{"url": "https://there/2"},
	})
	do(t, c, "PressInputPropertiesButton", map[string]any{
		"inputName": "Ben", "propertyName": "refreshnocache",
	})
	kind, settings, in := o.Input("Ben")
	if kind != "browser_source" || settings["url"] != "https://there/2" ||
		settings["width"] != 640.0 || !slices.Equal(in, []string{"Scene"}) ||
		len(o.Pressed("Ben")) != 1 {
		t.Errorf("the source: got %s %v in %v, pressed %v", kind, settings, in, o.Pressed("Ben"))
	}
	without := connect(t, fakeobs.Start(t, fakeobs.Options{NoBrowser: true}), "")
	if err := without.Call(t.Context(), "CreateInput", source, nil); !obs.IsStatus(err, 605) {
		t.Errorf("without obs-browser: got %v, want 605", err)
	}
}

// TestAuthenticationVector: for this password, salt and challenge, the string is the one that OBS
// computes.
func TestAuthenticationVector(t *testing.T) {
	t.Parallel()
	got := fakeobs.Authentication("supersecretpassword",
		"lM1GncleQOaCu9lT1yeUZhFYnqhsLLP1G5lAGo3ixaI=",
		"+IxH4CnCiqpX1rM9scsNynZzbOe4KhDeYcTNS3PDaeY=")
	if want := "1Ct943GAT+6YQUUX47Ia/ncufilbe6+oD6lY+5kaCu4="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A wire is a WebSocket connection whose messages the test writes and reads itself, without
// obs.Client.
type wire struct {
	t    *testing.T
	conn *websocket.Conn
}

func identified(t *testing.T, o *fakeobs.OBS, subscriptions int) *wire {
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), o.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	w := &wire{t, conn}
	w.next()
	w.send(fmt.Sprintf(`{"op":1,"d":{"rpcVersion":1,"eventSubscriptions":%d}}`, subscriptions))
	w.next()
	return w
}

func (w *wire) send(text string) {
	w.t.Helper()
	if err := w.conn.Write(w.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *wire) request(kind, data string) {
	w.t.Helper()
	w.send(fmt.Sprintf(`{"op":6,"d":{"requestType":%q,"requestId":"1","requestData":%s}}`, kind, data))
}

// next reads the next message and returns a short description of it.
func (w *wire) next() string {
	w.t.Helper()
	_, text, err := w.conn.Read(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	var m struct {
		Op int
		D  struct {
			EventType     string
			RequestStatus struct{ Code int }
			Results       []any
		}
	}
	if err := json.Unmarshal(text, &m); err != nil {
		w.t.Fatal(err)
	}
	switch m.Op {
	case 5:
		return m.D.EventType
	case 7:
		return fmt.Sprint("answer ", m.D.RequestStatus.Code)
	case 9:
		return fmt.Sprint("batch of ", len(m.D.Results))
	}
	return fmt.Sprint("op ", m.Op)
}
